"""The wordings of `compare`: what newcomers type when they set things side by side."""

from llavakit.tiny.talk.question import Language

_LEFT = (
    "Is the {a} left of the {b}?", "Is the {a} to the left of the {b}?", "Is the {a} on the left of the {b}?",
    "Is the {a} on the left side of the {b}?", "Is the {a} further left than the {b}?",
    "Would you say the {a} is left of the {b}?", "Is it true that the {a} is to the left of the {b}?",
    "Does the {a} stand to the left of the {b}?", "The {a} is left of the {b}, right?", "{a} left of {b}?",
    "Can you tell me if the {a} is to the left of the {b}?", "Is the {a} located to the left of the {b}?",
    "Is the {a} positioned left of the {b}?", "Is the {a} to the left side of the {b}?",
    "Do you see the {a} to the left of the {b}?",
)  # fmt: skip
_ABOVE = (
    "Is the {a} above the {b}?", "Is the {a} higher than the {b}?", "Is the {a} over the {b}?",
    "Is the {a} higher up than the {b}?", "Would you say the {a} is above the {b}?",
    "Is it true that the {a} is above the {b}?", "The {a} is above the {b}, correct?", "{a} above {b}?",
    "Can you tell me if the {a} is above the {b}?", "Is the {a} located above the {b}?",
    "Is the {a} somewhere above the {b}?", "Is the {a} higher in the {pic} than the {b}?",
    "Do you see the {a} above the {b}?", "Is the {a} positioned above the {b}?",
)  # fmt: skip
_BELOW = (
    "Is the {a} below the {b}?", "Is the {a} under the {b}?", "Is the {a} underneath the {b}?",
    "Is the {a} lower than the {b}?", "Is the {a} beneath the {b}?",
    "Would you say the {a} is below the {b}?",
    "Is it true that the {a} is below the {b}?", "The {a} is below the {b}, correct?", "{a} below {b}?",
    "Can you tell me if the {a} is under the {b}?", "Is the {a} located below the {b}?",
    "Is the {a} lower in the {pic} than the {b}?", "Do you see the {a} below the {b}?",
    "Is the {a} lower down than the {b}?",
)  # fmt: skip
_WHERE = (
    "Where is the {a} relative to the {b}?", "Where is the {a} compared to the {b}?",
    "Where is the {a} in relation to the {b}?", "Where's the {a} with respect to the {b}?",
    "On which side of the {b} is the {a}?", "What side of the {b} is the {a} on?",
    "How is the {a} placed relative to the {b}?", "Is the {a} left of, right of, above or below the {b}?",
    "What is the position of the {a} relative to the {b}?", "Seen from the {b}, where is the {a}?",
    "Where does the {a} stand relative to the {b}?", "Which side of the {b} is the {a} on?",
    "Describe where the {a} is relative to the {b}.", "Tell me where the {a} is compared with the {b}.",
    "What is the relation between the {a} and the {b}?", "How does the {a} stand to the {b}?",
    "Where is the {a} from the {b}?", "In which direction from the {b} is the {a}?",
    "What is the spatial relationship of the {a} to the {b}?", "Is the {a} above or below or beside the {b}?",
)  # fmt: skip
_WHAT_LEFT = (
    "What is to the left of the {b}?", "What is left of the {b}?", "What's on the left of the {b}?",
    "What's left of the {b}?", "What can you see to the left of the {b}?", "Which thing is left of the {b}?",
    "What stands to the left of the {b}?", "What is on the left side of the {b}?",
    "Name what is left of the {b}.",
    "Is there anything to the left of the {b}?", "What do you see left of the {b}?",
    "Which object is left of the {b}?",
    "What things are to the left of the {b}?", "Tell me what is to the left of the {b}.",
    "Anything left of the {b}?",
    "What is located to the left of the {b}?", "What else is left of the {b}?",
)  # fmt: skip
_WHAT_ABOVE = (
    "What is above the {b}?", "What's above the {b}?", "What is over the {b}?",
    "What can you see above the {b}?",
    "Which thing is above the {b}?", "Is there anything above the {b}?", "Name what is above the {b}.",
    "What do you see above the {b}?", "Which object is above the {b}?", "What things are above the {b}?",
    "Tell me what is above the {b}.", "Anything above the {b}?", "What is higher than the {b}?",
    "What is located above the {b}?", "What is there above the {b}?",
)  # fmt: skip
_WHAT_BELOW = (
    "What is below the {b}?", "What's below the {b}?", "What is under the {b}?",
    "What can you see under the {b}?",
    "Which thing is below the {b}?", "Is there anything below the {b}?", "Name what is below the {b}.",
    "What do you see below the {b}?", "Which object is under the {b}?", "What things are below the {b}?",
    "Tell me what is below the {b}.", "Anything under the {b}?", "What is underneath the {b}?",
    "What is beneath the {b}?", "What is lower than the {b}?", "What is located below the {b}?",
)  # fmt: skip
_WHICH_LEFT = (
    "Which is further left, the {a} or the {b}?", "Which is more to the left, the {a} or the {b}?",
    "What is further left, the {a} or the {b}?", "Which one is on the left, the {a} or the {b}?",
    "Is the {a} or the {b} further left?", "Of the {a} and the {b}, which is further left?",
    "Which is farther to the left: {a} or {b}?", "The {a} or the {b}: which is further to the left?",
    "Which one is closer to the left edge, the {a} or the {b}?", "Who is further left, the {a} or the {b}?",
)  # fmt: skip
_WHICH_ABOVE = (
    "Which is higher, the {a} or the {b}?", "Which is higher up, the {a} or the {b}?",
    "What is higher, the {a} or the {b}?", "Which one is on top, the {a} or the {b}?",
    "Is the {a} or the {b} higher?", "Of the {a} and the {b}, which is higher?",
    "Which is higher: {a} or {b}?",
    "Which one is closer to the top, the {a} or the {b}?", "Which is nearer the top, the {a} or the {b}?",
    "Which is above the other, the {a} or the {b}?",
)  # fmt: skip
_WHICH_BELOW = (
    "Which is lower, the {a} or the {b}?", "Which is lower down, the {a} or the {b}?",
    "What is lower, the {a} or the {b}?", "Is the {a} or the {b} lower?",
    "Of the {a} and the {b}, which is lower?", "Which is lower: {a} or {b}?",
    "Which one is closer to the bottom, the {a} or the {b}?",
    "Which is nearer the bottom, the {a} or the {b}?",
    "Which is below the other, the {a} or the {b}?",
)  # fmt: skip


def _mirrored(table: tuple[str, ...]) -> tuple[str, ...]:
    """Of the left, the same of the right; but "…, right?" does not ask for a side."""
    return tuple(text.replace(", right?", ", correct?").replace("left", "right") for text in table)


def _zh(side: str) -> tuple[str, ...]:
    return (
        "{a}在{b}的" + side + "吗？", "{a}是不是在{b}的" + side + "？", "{a}在不在{b}的" + side + "？",
        "图中{a}在{b}的" + side + "吗？", "请问{a}在{b}" + side + "吗？", "{a}是在{b}的" + side + "吗？",
    )  # fmt: skip


def _zh_what(side: str) -> tuple[str, ...]:
    return (
        "{b}的" + side + "是什么？", "{b}" + side + "有什么？", "{b}的" + side + "有什么？",
        "什么在{b}的" + side + "？",
        "图中{b}的" + side + "是什么？", "请问{b}的" + side + "有什么东西？",
    )  # fmt: skip


RELATED: dict[Language, dict[str, tuple[str, ...]]] = {
    "en": {
        "left of": _LEFT, "right of": _mirrored(_LEFT), "above": _ABOVE, "below": _BELOW, "where": _WHERE,
        "what left of": _WHAT_LEFT, "what right of": _mirrored(_WHAT_LEFT), "what above": _WHAT_ABOVE,
        "what below": _WHAT_BELOW, "which left of": _WHICH_LEFT, "which right of": _mirrored(_WHICH_LEFT),
        "which above": _WHICH_ABOVE, "which below": _WHICH_BELOW,
    },
    "zh": {
        "left of": _zh("左边") + _zh("左侧"), "right of": _zh("右边") + _zh("右侧"),
        "above": _zh("上面") + _zh("上方"), "below": _zh("下面") + _zh("下方"),
        "where": ("{a}在{b}的哪边？", "{a}在{b}的什么位置？", "{a}在{b}的哪个方向？", "{a}相对于{b}在哪里？",
                  "{a}在{b}的哪一边？", "{a}在{b}的什么方向？", "和{b}相比，{a}在哪里？"),
        "what left of": _zh_what("左边"), "what right of": _zh_what("右边"),
        "what above": _zh_what("上面"), "what below": _zh_what("下面"),
    },
}  # fmt: skip

TALLIED: dict[Language, dict[str, tuple[str, ...]]] = {
    "en": {
        "more": (
            "Are there more {s} than {t}?", "Are there more {s} than {t} in the {pic}?", "More {s} than {t}?",
            "Do you see more {s} than {t}?", "Can you see more {s} than {t}?",
            "Is the number of {s} greater than {t}?",
            "Are the {s} more than the {t}?", "Is it true that there are more {s} than {t}?",
            "Does the {pic} show more {s} than {t}?", "Do the {s} outnumber the {t}?",
            "There are more {s} than {t}, right?",
            "Would you say there are more {s} than {t}?", "Are {s} more numerous than {t}?",
        ),
        "fewer": (
            "Are there fewer {s} than {t}?", "Are there less {s} than {t}?", "Fewer {s} than {t}?",
            "Are there fewer {s} than {t} in the {pic}?", "Do you see fewer {s} than {t}?",
            "Does the {pic} show fewer {s} than {t}?", "Is the number of {s} smaller than the number of {t}?",
        ),
        "equal": (
            "Are there as many {s} as {t}?", "Is the number of {s} the same as the number of {t}?",
            "Are there equally many {s} and {t}?", "Are there the same number of {s} and {t}?",
            "As many {s} as {t}?", "Is there an equal number of {s} and {t}?",
            "Are the {s} and the {t} equal in number?", "Do you see as many {s} as {t}?",
        ),
        "which more": (
            "Which are there more of, {s} or {t}?", "What are there more of, {s} or {t}?",
            "Are there more {s} or {t}?", "Are there more {s} or more {t}?", "Is it more {s} or more {t}?",
            "Which are more numerous, the {s} or the {t}?", "Of which are there more, {s} or {t}?",
            "More {s} or {t}?",
            "What do you see more of, {s} or {t}?", "Compare the number of {s} and {t}.",
            "Which has the greater number, {s} or {t}?", "Do you see more {s} or {t}?",
            "Who is winning, {s} or {t}?",
            "Which is there more of: {s} or {t}?", "Tell me whether there are more {s} or {t}.",
        ),
        "which fewer": (
            "Which are there fewer of, {s} or {t}?", "Are there fewer {s} or {t}?", "Fewer {s} or fewer {t}?",
            "What are there fewer of, {s} or {t}?", "Which is there less of, {s} or {t}?",
            "Are there fewer {s} or fewer {t}?",
        ),
    },
    "zh": {
        "more": ("{a}比{b}多吗？", "{a}的数量比{b}多吗？", "图中{a}比{b}多吗？", "{a}是不是比{b}多？",
                 "{a}有没有比{b}多？"),
        "which more": ("{a}和{b}哪个多？", "{a}多还是{b}多？", "{a}和{b}，哪个更多？", "是{a}多还是{b}多？",
                       "图中{a}和{b}哪种更多？",
                       "哪个比较多，{a}还是{b}？"),
    },
}  # fmt: skip

_BIG = (
    "Is the {a} bigger than the {b}?", "Is the {a} larger than the {b}?",
    "Is the {a} bigger than the {b} in the {pic}?",
    "Does the {a} look bigger than the {b}?", "{a} bigger than {b}?", "Is the {a} drawn bigger than the {b}?",
    "Would you say the {a} is bigger than the {b}?", "Is it true that the {a} is larger than the {b}?",
)  # fmt: skip
_WHICH_BIG = (
    "Which is bigger, the {a} or the {b}?", "What is bigger, the {a} or the {b}?",
    "Which one is larger, the {a} or the {b}?",
    "Is the {a} or the {b} bigger?", "Of the {a} and the {b}, which is bigger?",
    "Which is the bigger one: {a} or {b}?",
    "Who is bigger, the {a} or the {b}?", "Compare the sizes: is the {a} or the {b} bigger?",
)  # fmt: skip
_BIGGEST = (
    "What is the biggest thing?", "What is the biggest thing in the {pic}?", "What is the largest thing?",
    "Which thing is the biggest?", "Which object is the largest?", "What is the largest object in the {pic}?",
    "What's the biggest?", "Which one is the biggest?", "Name the biggest thing.", "Which thing is largest?",
    "Tell me which thing is the biggest.", "What takes up the most space?", "What is biggest here?",
    "Which is the biggest of them?", "What is the biggest object here?", "Can you find the biggest thing?",
    "Which of these is the largest?", "Biggest thing?",
)  # fmt: skip
_BIGGEST_OF = (
    "Which {family} is the biggest?", "What is the biggest {family}?", "Which is the largest {family}?",
    "Which {family} is largest?", "Name the biggest {family}.", "What's the biggest {family} in the {pic}?",
    "Which {family} is the largest one?",
)  # fmt: skip


def _shrunk(table: tuple[str, ...]) -> tuple[str, ...]:
    swaps = {"biggest": "smallest", "largest": "smallest", "bigger": "smaller", "larger": "smaller",
    "the most": "the least",
             "Biggest": "Smallest"}  # fmt: skip
    shrunk = list(table)
    for word, other in swaps.items():
        shrunk = [text.replace(word, other) for text in shrunk]
    return tuple(dict.fromkeys(shrunk))


SIZED: dict[Language, dict[str, tuple[str, ...]]] = {
    "en": {
        "bigger": _BIG, "smaller": _shrunk(_BIG), "which bigger": _WHICH_BIG,
        "which smaller": _shrunk(_WHICH_BIG),
        "biggest": _BIGGEST, "smallest": _shrunk(_BIGGEST),
        "biggest of": _BIGGEST_OF, "smallest of": _shrunk(_BIGGEST_OF),
    },
    "zh": {
        "bigger": ("{a}比{b}大吗？", "{a}是不是比{b}大？", "图中{a}比{b}大吗？", "{a}有没有{b}大？"),
        "smaller": ("{a}比{b}小吗？", "{a}是不是比{b}小？", "图中{a}比{b}小吗？"),
        "which bigger": ("{a}和{b}哪个大？", "{a}大还是{b}大？", "{a}和{b}，哪个更大？",
                         "哪个比较大，{a}还是{b}？"),
        "which smaller": ("{a}和{b}哪个小？", "{a}小还是{b}小？", "{a}和{b}，哪个更小？",
                          "哪个比较小，{a}还是{b}？"),
        "biggest": ("最大的是什么？", "图中最大的东西是什么？", "哪个最大？", "什么东西最大？",
                    "哪个东西最大？"),
        "smallest": ("最小的是什么？", "图中最小的东西是什么？", "哪个最小？", "什么东西最小？",
                     "哪个东西最小？"),
    },
}  # fmt: skip

COLOURED: dict[str, tuple[str, ...]] = {
    "both": (
        "Do the {a} and the {b} have the same colour?", "Are the {a} and the {b} the same colour?",
        "Is the {a} the same colour as the {b}?", "Does the {a} have the same colour as the {b}?",
        "Do the {a} and {b} match in colour?", "Same colour, the {a} and the {b}?",
        "Are the {a} and {b} of one colour?",
        "Have the {a} and the {b} got the same colour?", "Do the {a} and the {b} share a colour?",
        "Is the colour of the {a} the same as that of the {b}?", "Are the {a} and the {b} alike in colour?",
    ),
    "all": (
        "Are all the {s} the same colour?", "Do all the {s} have the same colour?",
        "Are the {s} all the same colour?",
        "Are the {s} the same colour?", "Do the {s} have the same colour?", "Do the {s} share one colour?",
        "Are all {s} of the same colour?", "Is every one of the {s} the same colour?",
        "Same colour for all the {s}?",
        "Do all {s} look the same colour?", "Do all the {s} match?",
    ),
    "any": (
        "Is there anything {colour}?", "Is anything {colour}?", "Do you see anything {colour}?",
        "Anything {colour} here?",
        "Is there something {colour} in the {pic}?", "Are there any {colour} things?",
        "Is something {colour}?",
        "Do you see something {colour}?", "Are any of these {colour}?", "Can you see anything {colour}?",
        "Is there a {colour} object?", "Does the {pic} show anything {colour}?",
    ),
}  # fmt: skip
