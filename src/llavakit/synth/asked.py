"""A teacher behind an API. Each reply is kept as it comes, and money is counted before it is spent."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from llavakit.api import Api, Body, Said
from llavakit.errors import UsageError
from llavakit.synth.kept import Kept, Opened
from llavakit.synth.prices import Price
from llavakit.synth.request import Prompt, Request, Requests, Usable, held_of
from llavakit.synth.task import Reply, Task

_STRIDE = 32  # tasks that need nothing, between two looks at the network
_MARGIN = 1.5  # a prompt may have so many tokens to one by our count, until a server tells of more
_REASONS = 50  # that are counted apart
_OTHERS = "for other reasons"


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request under way, and what it may cost at most, in USD."""

    request: Request
    opened: Opened
    usd: float


class ApiTeacher:
    """A `Teacher`.

    Attributes:
        name: the model's
        stopped: why not all was asked, "" where all was
        replies: that came in this run
        again: of these, how many could not be used, so that another was asked for
        failed: requests that got no reply, by reason; the next run asks them again
        waiting: tasks that stand in a batch without a reply, and are left to it
    """

    def __init__(
        self,
        api: Api,
        kinds: Mapping[str, Prompt],
        kept: Kept,
        *,
        usable: Usable = lambda task, text: "",
        tries: int = 2,
        budget: float | None = None,
        price: Price | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        """
        Args:
            kinds: what is sent, by kind
            usable: why a reply cannot be used, "" where it can
            tries: replies that are asked for of a task, in all, until one can be used
            budget: USD that all replies of this model in `kept` may cost, those of earlier runs too
            price: what they cost
            progress: told how many tasks are over, with a reply or without

        Raises:
            UsageError: a budget without a price.
        """
        if budget is not None and price is None:
            raise UsageError(
                f"a budget needs to know what {api.model} costs; add it to a table of prices, "
                "or say that it costs nothing"
            )
        self.name, self.stopped = api.model, ""
        self.replies = self.again = self.waiting = 0
        self.failed: Counter[str] = Counter()
        self._api, self._kept, self._progress = api, kept, progress
        self._requests = Requests(api.model, kinds, kept, usable=usable, tries=tries)
        self._budget, self._price = budget, price
        self._margin, self._longest = _MARGIN, 0  # the most that a server told
        self._next: deque[Request] = deque()  # to be sent before tasks that were never asked
        self._under_way: dict[int, _Sent] = {}
        self._done = 0

    @property
    def spent(self) -> float:
        """USD for this model's replies in `kept`, and for those that may have been paid and never came."""
        if self._price is None:
            return 0.0
        return sum(
            self._price.of(paid.prompt_tokens, paid.completion_tokens, batch=paid.batch)
            for paid in self._kept.paid(self.name)
        )

    def gather(self, tasks: Iterable[Task]) -> None:
        """Ask for what is not kept, until all is there, or no money is left.

        Raises:
            UsageError, LlavaError: as `Api.ask` and `Kept.settle`; what came before is kept.
        """
        self.stopped, self._done = "", 0
        self._next.clear()
        self._under_way.clear()
        self._kept.claim()
        waiting = iter(tasks)
        # When what is under way is heard, there may be something to ask again, or money left for more.
        while self._round(waiting) and self._next:
            pass
        if self._next:
            self.stopped = (
                f"the budget of ${self._budget:g} reaches no further: ${self.spent:.4f} are spent, "
                f"and one more request may cost ${self._sent(self._next[0]).usd:.4f}"
            )

    def reply(self, task: Task) -> Reply | None:
        return self._requests.reply(task)

    def _round(self, tasks: Iterator[Task]) -> bool:
        """Ask until there is nothing to ask at the moment; returns whether something was asked."""
        asked = False

        def bodies() -> Iterator[Body | None]:
            nonlocal asked
            for number, request in enumerate(self._wanted(tasks)):
                if request is not None:
                    sent = self._sent(request)
                    if not self._affordable(sent.usd):
                        self._next.appendleft(request)
                        return
                    self._kept.open([sent.opened])
                    self._under_way[number] = sent
                    asked = True
                yield None if request is None else request.body()

        self._api.ask(bodies(), self._settle, lost=self._lost, dropped=self._dropped)
        return asked

    def _wanted(self, tasks: Iterator[Task]) -> Iterator[Request | None]:
        """Requests, those that follow others first; None at times, where tasks need nothing."""
        passed = 0
        while True:
            if self._next:
                yield self._next.popleft()
                continue
            task = next(tasks, None)
            if task is None:
                return
            request = self._requests.wanted(task)
            if request is not None and not self._is_out(request):
                yield request
                continue
            self._over()
            passed += 1
            if passed % _STRIDE == 0:
                yield None

    def _is_out(self, request: Request) -> bool:
        """Whether its reply will come anyway: to an equal one under way, or in a batch."""
        opened = self._kept.opened(request.key)
        self.waiting += opened is not None and opened.batch
        return opened is not None

    def _sent(self, request: Request) -> _Sent:
        opened = request.opened(self._margin, self._longest)
        most = opened.prompt_tokens, opened.completion_tokens
        return _Sent(request, opened, self._price.of(*most) if self._price else 0.0)

    def _affordable(self, usd: float) -> bool:
        if self._budget is None:
            return True
        return self.spent + usd + sum(sent.usd for sent in self._under_way.values()) <= self._budget

    def _lost(self, number: int) -> bool:
        self._kept.lose(self._under_way[number].opened)
        return self._affordable(0.0)

    def _dropped(self, number: int) -> None:
        self._kept.drop(self._under_way.pop(number).opened)

    def _settle(self, number: int, said: Said) -> None:
        sent = self._under_way.pop(number)
        held = held_of(said, sent.opened)
        self._kept.settle((sent.opened, held))
        if said.reason:
            known = said.reason in self.failed or len(self.failed) < _REASONS
            self.failed[said.reason if known else _OTHERS] += 1
            self._over()
            return
        self.replies += 1
        self._margin = max(self._margin, held.prompt_tokens / sent.opened.guess)
        self._longest = max(self._longest, held.completion_tokens)
        request = self._requests.wanted(sent.request.task)
        if request is None:
            self._over()
        else:
            self.again += 1
            self._next.append(request)

    def _over(self) -> None:
        self._done += 1
        self._progress(self._done)
