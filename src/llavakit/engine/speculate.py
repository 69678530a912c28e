"""Guesses of what an answer says next, from what was said before (prompt lookup: Saxena 2023).

Where the last few tokens stood earlier in the conversation, what followed them there is guessed to follow
again. A model reads several tokens in hardly more time than one, because it is its weights that take the
time; a guess that the model would have drawn itself is kept. So answers are the same with and without:
each token is drawn from the same logits by the same random numbers, as if it had been drawn alone.
"""

from collections.abc import Sequence

_GRAM = 3  # tokens that must have stood together before
_MOST = 8  # tokens guessed at a time


class Lookup:
    """The guesses for one answer; how many at a time depends on how often they were right."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self._ids = list(prompt)
        self._after: dict[tuple[int, ...], int] = {}  # a gram -> where what last followed it stands
        self._counted = 0  # answer's tokens among `_ids`
        self._length = 2
        self._rest = 0  # steps without a guess, after wrong ones
        self._penalty = 1
        for end in range(_GRAM, len(self._ids)):
            self._after[tuple(self._ids[end - _GRAM : end])] = end

    def draft(self, room: int) -> list[int]:
        """Guesses of the next tokens; the last one read is not among them.

        Args:
            room: how many more tokens the answer may have
        """
        if self._rest:
            self._rest -= 1
            return []
        at = self._after.get(tuple(self._ids[-_GRAM:]))
        return [] if at is None else self._ids[at : at + min(self._length, room - 1)]

    def learn(self, answer: Sequence[int], drafted: int, accepted: int) -> None:
        """Take in the answer as far as it has come, and how good the last guesses were."""
        for token in answer[self._counted :]:
            if len(self._ids) >= _GRAM:
                self._after[tuple(self._ids[-_GRAM:])] = len(self._ids)
            self._ids.append(token)
        self._counted = len(answer)
        if drafted and accepted == drafted:
            self._length, self._penalty = min(2 * self._length, _MOST), 1
        elif drafted and not accepted:
            self._length, self._rest = 2, self._penalty
            self._penalty = min(2 * self._penalty, 32)
        elif drafted:
            self._length = max(2, accepted)
