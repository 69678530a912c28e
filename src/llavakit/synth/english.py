"""English plurals."""

IRREGULAR = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "foot": "feet",
    "tooth": "teeth", "goose": "geese", "mouse": "mice", "ox": "oxen", "knife": "knives", "wife": "wives",
    "life": "lives", "leaf": "leaves", "shelf": "shelves", "loaf": "loaves", "calf": "calves",
    "wolf": "wolves", "half": "halves", "scarf": "scarves", "thief": "thieves", "elf": "elves",
    "potato": "potatoes", "tomato": "tomatoes", "mango": "mangoes", "hero": "heroes", "echo": "echoes",
    "bus": "buses", "gas": "gases", "quiz": "quizzes", "cactus": "cacti", "someone": "people",
    "passerby": "passersby",
} | {word: word for word in (
    "sheep", "deer", "fish", "moose", "aircraft", "spacecraft", "hovercraft", "bison", "swine", "salmon",
    "trout", "series",
)}  # fmt: skip


def plural(noun: str) -> str:
    """Of one word or several, in small letters."""
    first, space, last = noun.rpartition(" ")
    return f"{first}{space}{_plural(last)}"


def _plural(word: str) -> str:
    known = IRREGULAR.get(word)
    if known:
        return known
    if word.endswith("person"):
        return f"{word.removesuffix('person')}people"
    if word.endswith("man") and len(word) > 4 and word not in ("human", "german", "roman", "ottoman"):
        return f"{word[:-2]}en"
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return f"{word}es"
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou"):
        return f"{word[:-1]}ies"
    return f"{word}s"
