"""A template in the language of Ollama's Modelfile, which is that of Go's `text/template`.

Like the Jinja one it is made from what the template itself writes. One thing differs: Ollama puts
pictures right before the words of their turn, without the new line between.
"""

import json

from llavakit.prompt.jinja import phrases
from llavakit.prompt.templates import Template

# Ollama gives all system messages together as .System, and turns as .Messages; $begun is the first user's.
_GO = """
{{- $begun := false }}
{{- if .System }}{{ BEFORE_SYSTEM }}{{ .System }}{{ AFTER_SYSTEM }}{{ end }}
{{- $system := .System }}
{{- range .Messages }}
{{- if eq .Role "user" }}
{{- if $begun }}{{ NEXT }}{{ else if not $system }}{{ FIRST }}{{ end }}
{{- $begun = true }}{{ BEFORE_WORDS }}{{ .Content }}{{ ASKED }}
{{- else if eq .Role "assistant" }}{{ BEFORE_ANSWER }}{{ .Content }}{{ ANSWERED }}
{{- end }}
{{- end }}{{ REPLY }}"""


def go_template(template: Template) -> str | None:
    """`template` for `TEMPLATE` of a Modelfile; None for `plain`, which is no conversation."""
    if template.name == "plain":
        return None
    written = _GO.strip()
    for place, words in phrases(template).items():
        written = written.replace(f"{{{{ {place} }}}}", f"{{{{ {json.dumps(words)} }}}}" if words else "")
    return written
