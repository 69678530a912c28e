"""How the drawn world is spoken of: captions, questions and true answers, in English and Chinese."""
