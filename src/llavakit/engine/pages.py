"""Blocks of the paged cache: who uses which, and what earlier conversations left in them.

What was read stays until its room is needed, in a tree: a path from the root is the beginning of some
conversation, a node is one block of it. Whoever begins alike, the same conversation's next turn or another
one about the same picture, takes the path over and reads only the rest. Knows tokens and numbers of blocks,
no tensors. (PagedAttention, Kwon et al. 2023; the tree is RadixAttention's, Zheng et al. 2024.)
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from itertools import count

Token = Hashable  # an id; of a picture's positions the digest, which is the same where the features are


class NoRoom(Exception):  # noqa: N818 - a signal
    """All blocks are in use."""


@dataclass(eq=False)
class Node:
    """One block that others may begin with: `tokens` are those it holds, a whole block but at a leaf."""

    tokens: tuple[Token, ...]
    block: int
    parent: "Node | None"
    children: dict[tuple[Token, ...], "Node"] = field(default_factory=dict)
    users: int = 0  # sequences that read it now
    last_used: int = 0


class Pages:
    """A pool of `blocks` blocks of `size` positions each.

    Args:
        copy: what to call when a block's content must be had in another (source, target)
    """

    def __init__(self, blocks: int, size: int, copy: Callable[[int, int], None]) -> None:
        self.blocks, self.size = blocks, size
        self._copy = copy
        self._free = list(range(blocks))[::-1]  # the lowest number last, so that a lone sequence is in order
        self._root = Node((), -1, None)
        self._clock = count(1)

    @property
    def free(self) -> int:
        """Blocks that hold nothing anybody could use again."""
        return len(self._free)

    @property
    def available(self) -> int:
        """Blocks that can be had: free ones, and those that nobody reads now."""
        return len(self._free) + sum(not node.users for node in self._nodes())

    @property
    def remembered(self) -> int:
        """Tokens of earlier sequences that could be taken over."""
        return sum(len(node.tokens) for node in self._nodes())

    def begin(self, tokens: Sequence[Token], *, reuse: bool = True) -> "PagedSequence":
        """A sequence that holds as many of the first `tokens` as are remembered, or, without `reuse`, none;
        the last one never is, because reading it gives the logits."""
        sequence = PagedSequence(self)
        node, at, limit = self._root, 0, len(tokens) - 1 if reuse else 0
        while at < limit:
            part = tuple(tokens[at : at + self.size])
            child = node.children.get(part) if at + self.size <= limit else None
            if child is None:
                break
            self._use(child)
            sequence.path.append(child)
            node, at = child, at + self.size
        sequence.length = at
        wanted = tokens[at:limit]
        near = max(node.children.values(), key=lambda child: common(child.tokens, wanted), default=None)
        if near is not None and (same := common(near.tokens, wanted)):
            self._use(near)  # it must not be evicted to make room for its own copy
            try:
                sequence.own.append(self._take())
                self._copy(near.block, sequence.own[0])
                sequence.length += same
            except NoRoom:
                pass  # then it is read again
            except BaseException:
                sequence.length = 0
                sequence.end(())
                raise
            finally:
                near.users -= 1
        return sequence

    def forget(self) -> None:
        """Give up all that nobody reads now."""
        while self._evict():
            pass

    def _use(self, node: Node) -> None:
        node.users += 1
        node.last_used = next(self._clock)

    def _take(self) -> int:
        if not self._free and not self._evict():
            raise NoRoom(f"all {self.blocks} blocks of the cache are in use")
        return self._free.pop()

    def _evict(self) -> bool:
        """Forget the block that was used longest ago, of those with nothing behind them."""
        leaves = [node for node in self._nodes() if not node.children and not node.users]
        if not leaves:
            return False
        self._remove(min(leaves, key=lambda node: node.last_used))
        return True

    def _remove(self, leaf: Node) -> None:
        assert leaf.parent is not None  # the root is never removed
        del leaf.parent.children[leaf.tokens]
        self._free.append(leaf.block)

    def _nodes(self) -> list[Node]:
        found, waiting = [], list(self._root.children.values())
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting += node.children.values()
        return found


class PagedSequence:
    """The blocks of one sequence: a path of the tree, then blocks of its own.

    Attributes:
        length: positions that hold something
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self.path: list[Node] = []
        self.own: list[int] = []
        self.length = 0

    @property
    def blocks(self) -> list[int]:
        return [*(node.block for node in self.path), *self.own]

    def reserve(self, length: int) -> None:
        """Have room for `length` positions.

        Raises:
            NoRoom: there is none; blocks taken on the way stay with the sequence.
        """
        while len(self.path) + len(self.own) < -(-length // self._pages.size):
            self.own.append(self._pages._take())

    def wrote(self, tokens: Sequence[Token]) -> None:
        """It holds `tokens` now, all of them; blocks that are full may be taken over by others."""
        self.length = len(tokens)
        size = self._pages.size
        while (at := len(self.path) * size) + size <= self.length:
            self._share(tuple(tokens[at : at + size]))

    def _share(self, part: tuple[Token, ...]) -> None:
        """Put the first own block into the tree; where another sequence has put the same there, use that."""
        pages, block = self._pages, self.own.pop(0)
        parent = self.path[-1] if self.path else pages._root
        node = parent.children.get(part)
        if node is None:
            for child in list(parent.children.values()):  # a leaf that says less is of no more use
                if not child.users and child.tokens == part[: len(child.tokens)]:
                    pages._remove(child)
            node = parent.children[part] = Node(part, block, parent)
        else:
            pages._free.append(block)
        pages._use(node)
        self.path.append(node)

    def end(self, tokens: Sequence[Token]) -> None:
        """Give the blocks back; what they hold, the beginning of `tokens`, is remembered."""
        self.wrote(tokens[: self.length])
        if rest := tuple(tokens[len(self.path) * self._pages.size : self.length]):
            self._share(rest)
        for node in self.path:
            node.users -= 1
        self._pages._free += self.own[::-1]
        self.path, self.own, self.length = [], [], 0


def common(a: Sequence[Token], b: Sequence[Token]) -> int:
    """Length of the common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
