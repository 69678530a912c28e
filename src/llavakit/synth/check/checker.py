"""Whether a reply can be trusted: what it says is there must be in what the teacher was told."""

from collections.abc import Iterable, Sequence

from llavakit.errors import UsageError, nearest
from llavakit.synth.check.absence import check_absence
from llavakit.synth.check.choice import check_choice
from llavakit.synth.check.names import Names
from llavakit.synth.check.plain import LANGUAGES, check_form, check_language, check_lengths
from llavakit.synth.check.said import AUXILIARIES, FUNCTION, PREPOSITIONS, word_set, words_of
from llavakit.synth.check.support import check_support
from llavakit.synth.check.talk import leak, refusal
from llavakit.synth.check.told import Teller
from llavakit.synth.scene import Scene
from llavakit.synth.task import Made, RejectedError, Task, Turns

_OURS = ("detail", "brief")  # their questions are ours
# Words that any description may have, whatever it is of.
_EMPTY = (
    FUNCTION
    | PREPOSITIONS
    | AUXILIARIES
    | word_set(". , a an the yes no picture image photo photograph scene view show shows shown see seen")
)


class Checker:
    """Checks of replies, after they were read. Keeps nothing but the last scene."""

    def __init__(self, vocabulary: Sequence[str], *, language: str = "en") -> None:
        """
        Args:
            vocabulary: categories that the source searches every picture for; () where it does not
            language: that replies are to be in; what they name is only looked for in English

        Raises:
            UsageError: a language that is not known.
        """
        if language not in LANGUAGES:
            raise UsageError(f"no language {language!r} ({nearest(language, LANGUAGES)})")
        self.language = language
        self._vocabulary = tuple(vocabulary)
        self._names = Names(vocabulary)
        self._teller = Teller(self._names, self._labels(vocabulary))

    def named(self, scene: Scene) -> tuple[str, ...]:
        """Categories of the vocabulary that a scene's sentences speak of, or hint at."""
        spoken = self._teller.of(scene).spoken
        return tuple(
            name for name in self._vocabulary if not spoken.isdisjoint(self._names.category(name)[0])
        )

    def _labels(self, categories: Iterable[str]) -> frozenset[str]:
        return frozenset(self._names.category(category)[1] for category in categories)

    def check(self, task: Task, turns: Turns) -> Made:
        """What is good of a reply.

        Raises:
            RejectedError: it cannot be used.
        """
        check_form(turns)
        kind, told = task.kind, self._teller.of(task.scene)
        said = ".\n".join(answer for _, answer in turns)
        asked = "" if kind in _OURS else ".\n".join(_stem(question) for question, _ in turns)
        words, wondered = words_of(said), words_of(asked)
        different, others = set(words), set(wondered)
        if found := refusal(said, different, self.language):
            raise RejectedError("refusal", f"the teacher speaks of itself: {found!r}")
        for text, its in ((said, different), (asked, others)):
            if found := leak(text, its, told.text, self.language):
                raise RejectedError("leak", f"it speaks of what the teacher was shown: {found!r}")
        check_language(said + asked, different | others, self.language)
        check_lengths(kind, turns, self.language)
        if kind == "choice":
            return check_choice(turns, self._names, told)
        if self.language != "en":
            return Made(turns)
        if kind == "absent":
            return check_absence(turns, self._names, self._labels(task.absent) | told.counted, told)
        made = check_support(turns, kind, words, wondered, self._names, told)
        if kind in _OURS and not made.named and told.words.isdisjoint(different - _EMPTY):
            raise RejectedError("support", "it says nothing of what the scene holds", made)
        return made


def _stem(question: str) -> str:
    """Without the instruction that ends a multiple-choice question: it speaks of what is given."""
    return question.rsplit("\n", 1)[0] if "\n" in question else question
