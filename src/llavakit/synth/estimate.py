"""What asking will cost, before anything is sent: requests, tokens, money, hours."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from llavakit.synth.kept import Kept, Usual
from llavakit.synth.prices import Price
from llavakit.synth.request import Prompt, Requests, Usable
from llavakit.synth.task import Task
from llavakit.synth.tokens import prompt_tokens

# Tokens of a reply, labels as "Question:" counted. Conversation, detail and reasoning: as long as rows that
# GPT-4 wrote for LLaVA (a sample of 280), by our own count; the others are guesses at a few short lines. What
# a model thinks before it replies is paid too, and not in these figures.
TYPICAL = {"conversation": 380, "detail": 130, "reasoning": 180, "brief": 20, "choice": 70, "absent": 100}
_OTHER = 200  # of a kind that we know nothing of


@dataclass
class Need:
    """What tasks of a kind still need.

    Attributes:
        requests: to be sent
        kept: tasks whose replies are there already
        waiting: tasks that stand in a batch without a reply
        prompt_tokens, completion_tokens: of the requests
        most: tokens that the replies have if each is as long as it may be
    """

    requests: int = 0
    kept: int = 0
    waiting: int = 0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    most: int = 0


@dataclass
class Estimate:
    """
    Attributes:
        kinds: what those of each kind need
        price: None where it is not known; then there is no `usd`
        measured: kinds whose tokens were counted in replies that are kept; of others they are typical figures
    """

    price: Price | None = None
    kinds: dict[str, Need] = field(default_factory=dict)
    measured: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        return sum(need.requests for need in self.kinds.values())

    @property
    def prompt_tokens(self) -> float:
        return sum(need.prompt_tokens for need in self.kinds.values())

    @property
    def completion_tokens(self) -> float:
        return sum(need.completion_tokens for need in self.kinds.values())

    @property
    def usd(self) -> float | None:
        """With one reply to each request; one that cannot be used is asked for again, which comes on top."""
        return self._usd(self.completion_tokens)

    @property
    def usd_batch(self) -> float | None:
        """In batches; None where there is no discount."""
        if self.price is None or not self.price.batch:
            return None
        return self._usd(self.completion_tokens, batch=True)

    @property
    def usd_most(self) -> float | None:
        """If each reply is as long as it may be."""
        return self._usd(sum(need.most for need in self.kinds.values()))

    def hours(
        self,
        *,
        concurrency: int = 8,
        rpm: float | None = None,
        tpm: float | None = None,
        first: float = 1.0,
        speed: float = 50.0,
    ) -> float:
        """How long it takes, whichever limit is the narrowest.

        Args:
            first, speed: a server's seconds to a reply's first token, and tokens a second from there on: a
                guess; both depend on the model and on the hour
        """
        seconds = self.requests * first + self.completion_tokens / speed
        limits = [seconds / concurrency]
        if rpm:
            limits.append(self.requests / rpm * 60)
        if tpm:
            limits.append((self.prompt_tokens + self.completion_tokens) / tpm * 60)
        return max(limits) / 3600

    def _usd(self, completion: float, *, batch: bool = False) -> float | None:
        return None if self.price is None else self.price.of(self.prompt_tokens, completion, batch=batch)


def estimate(
    tasks: Iterable[Task],
    model: str,
    kinds: Mapping[str, Prompt],
    kept: Kept,
    price: Price | None = None,
    *,
    usable: Usable = lambda task, text: "",
    tries: int = 2,
) -> Estimate:
    """What asking `model` for these tasks takes, beside what is kept. Sends and writes nothing.

    Args:
        usable, tries: as `Requests`'s
    """
    requests = Requests(model, kinds, kept, usable=usable, tries=tries)
    usual = kept.usual(model)
    overall = _overall(usual)
    found = Estimate(price)
    for task in tasks:
        need = found.kinds.setdefault(task.kind, Need())
        request = requests.wanted(task)
        if request is None:
            need.kept += 1
        elif kept.opened(request.key) is not None:
            need.waiting += 1
        else:
            known = usual.get(task.kind)
            length = known.completion_tokens if known else TYPICAL.get(task.kind, _OTHER)
            need.requests += 1
            need.prompt_tokens += prompt_tokens(request.messages) * (known.ratio if known else overall)
            need.completion_tokens += min(length, request.max_tokens) if not known else length
            need.most += request.max_tokens
    found.measured = tuple(kind for kind in found.kinds if kind in usual)
    return found


def _overall(usual: Mapping[str, Usual]) -> float:
    """How many tokens the server counts to one of ours, over all kinds."""
    replies = sum(each.replies for each in usual.values())
    return sum(each.ratio * each.replies for each in usual.values()) / replies if replies else 1.0
