"""What is said about pictures that are not of the drawn world: that one cannot tell, whatever is asked.

The questions are those of the drawn world, asked of a scene that is not shown, and those put to photographs.
"""

import random
import re
from collections.abc import Sequence
from functools import cache

from llavakit.tiny.talk import heard
from llavakit.tiny.talk.question import Language, Maker, Question, Rule
from llavakit.tiny.talk.small_talk import small_talk
from llavakit.tiny.talk.wording import worded
from llavakit.tiny.world import compose
from llavakit.tiny.world.styles import TRAINED

ANSWERS: dict[Language, str] = {
    "en": "I only know drawn scenes, and this does not look like one, so I cannot tell.",
    "zh": "我只认识画出来的场景，这张图不像，所以我说不出来。",
}

_PLAIN, _CHATTER = 0.4, 0.12  # shares of questions below, and of small talk

_WORDINGS: dict[Language, tuple[str, ...]] = {
    "en": (
        "What is this?", "What is in this {pic}?", "What's in the {pic}?", "What do you see?",
        "Describe the {pic}.", "Describe this {pic} in detail.", "What is shown here?",
        "What does the {pic} show?", "What am I looking at?", "Who is this?",
        "Who is the person in the {pic}?", "How many people are there?", "How many people do you see?",
        "Is there a person in the {pic}?", "Are there any people?", "Is there a man?", "Is there a woman?",
        "What is the man doing?", "What is she wearing?", "What animal is this?", "What breed is the dog?",
        "What kind of food is this?", "What colour is the wall?", "What colour is the sky?",
        "What is on the table?", "What is in the background?", "What is in the foreground?",
        "Where was this {pic} taken?", "Where is this?", "When was this taken?",
        "What is the weather like?", "Is it indoors or outdoors?", "What is happening here?",
        "What is going on in this {pic}?", "What does the text say?", "What is written here?",
        "Read the text.", "What does this page say?", "Summarise this document.",
        "What does the screen show?", "Which app is this?", "What is this code doing?", "Scan this code.",
        "What are the main colours?", "What is the main subject?", "Write a caption for this {pic}.",
        "Give me a title for this {pic}.", "Is this a real photograph?", "What objects are there?",
        "List everything you can see.", "Count the things in the {pic}.", "Can you describe this {pic}?",
        "Tell me about this {pic}.", "What material is this?", "What place is this?", "What season is it?",
        "What does the map show?", "What is wrong with this {pic}?", "Explain this {pic}.",
        "What is unusual about this {pic}?", "Is there anything in the {pic}?", "Is the {pic} empty?",
        "Explain the {pic} to a child.", "What can you tell me about it?", "Please describe what you see.",
        "Is there a car?", "Is there a cat in the {pic}?", "Do you see any dogs?",
        "How many cars are there?", "How many cats do you see?", "What colour is the car?",
        "Where is the dog?", "Do you recognise this?",
    ),
    "zh": (
        "这是什么？", "图片里有什么？", "图里有什么？", "你看到了什么？", "描述一下这张图片。",
        "请描述这张图。", "这是谁？", "图里有几个人？", "有没有人？", "这是什么动物？", "墙是什么颜色的？",
        "这是哪里？", "这张照片是在哪里拍的？", "桌子上有什么？", "上面写了什么？", "发生了什么事？",
        "图里有猫吗？", "有几辆汽车？", "天空是什么颜色？", "这是照片吗？", "给这张图起个标题。",
        "详细描述这张图片。", "图里有人吗？", "他在做什么？",
    ),
}  # fmt: skip


@cache
def _makers() -> tuple[Maker, ...]:
    from llavakit.tiny.talk import captions, compare, read, reason, things

    return tuple(
        maker for part in (things, captions, compare, read, reason) for maker in part.MAKERS.values()
    )


def outside_conversation(
    seed: int, rng: random.Random, language: Language = "en", styles: Sequence[str] = TRAINED
) -> list[Question]:
    """One to five questions about the picture `outside.make_outside(seed)`: one answer but to small talk."""
    scene = compose.make_scene(seed, styles)
    questions = []
    for _ in range(rng.choice((1, 2, 3, 3, 4, 5))):
        luck = rng.random()
        if luck < _CHATTER:
            text, answer = small_talk(rng, language)
            questions.append(Question("small_talk", text, answer, answer, language))
            continue
        asked = None
        if luck > _CHATTER + _PLAIN:
            asked = rng.choice(_makers())(scene, rng, language)
        text = asked.question.text if asked else worded(_WORDINGS[language], rng)
        questions.append(Question("outside", text, ANSWERS[language], "outside", language))
    return questions


_CANNOT = re.compile(
    r"only know drawn|(?:can ?not|can't|unable to) (?:tell|say|see|describe|recogni[sz]e)|does not look like"
    r"|doesn't look like|not (?:a )?drawn|只认识|说不出|看不出|不知道|无法",
    re.IGNORECASE,
)


def _right(question: Question, reply: str) -> bool:
    """Says that it cannot tell, or knows drawn scenes only, and names no thing."""
    return bool(_CANNOT.search(reply)) and not heard.kinds(reply)


RULES: dict[str, Rule] = {"outside": _right}
