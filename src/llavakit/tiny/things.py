"""What the drawn world is made of: kinds of thing, their names in English, and the colours they come in.

Knows words and glyphs; how a thing looks is `draw`, where it stands is `world`.
"""

from dataclasses import dataclass

# Far apart in hue or lightness, so that each stays itself on any background and at 24 pixels.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (216, 34, 38),
    "orange": (244, 126, 18),
    "yellow": (247, 208, 32),
    "green": (42, 160, 62),
    "blue": (36, 92, 224),
    "purple": (132, 58, 190),
    "pink": (250, 134, 194),
    "black": (32, 32, 36),
}


@dataclass(frozen=True)
class Kind:
    """A kind of thing: `glyph` is its emoji (None: a shape drawn by code), `colour` the word for its
    natural colour where that is plain to see (a banana is yellow), None where it is not."""

    name: str
    plural: str
    glyph: str | None
    tintable: bool
    category: str
    colour: str | None = None


def _kinds() -> dict[str, Kind]:
    # name[/plural] glyph: `*` marks a kind that is painted in any of COLOURS, `=words` its natural colour.
    # Left out because they look like another at 28 pixels: truck (bus), scooter (bicycle), dolphin (whale),
    # tomato (apple), horse (cow), tiger (lion), basketball (an orange circle); and the fruit called orange.
    table = {
        "vehicle": """car* 🚗, bus*/buses 🚌, bicycle* 🚲, train* 🚂, plane* ✈, helicopter* 🚁, rocket* 🚀,
            boat* ⛵, tractor* 🚜""",
        "animal": """cat=orange 🐈, dog 🐕, zebra=black and white 🦓, elephant=grey 🐘, giraffe 🦒,
            cow=black and white 🐄, pig=pink 🐖, sheep=white/sheep 🐑, rabbit 🐇, panda=black and white 🐼,
            lion 🦁, fox=orange/foxes 🦊, frog=green 🐸, owl=brown 🦉, penguin 🐧, fish*/fish 🐟,
            whale=blue 🐳, octopus*/octopuses 🐙, turtle=green 🐢, butterfly*/butterflies 🦋, bee 🐝,
            ladybird=red 🐞, flamingo=pink 🦩""",
        "food": """apple=red 🍎, banana=yellow 🍌, strawberry=red/strawberries 🍓, pineapple 🍍,
            watermelon 🍉, pear=green 🍐, carrot=orange 🥕, mushroom 🍄, pizza 🍕, burger 🍔, cake 🎂,
            ice cream 🍦""",
        "plant": """tree=green 🌳, cactus=green/cactuses 🌵, sunflower=yellow 🌻, rose=red 🌹,
            leaf*/leaves 🍁""",
        "object": """house* 🏠, castle 🏰, key* 🔑, clock* ⏰, book* 📕, chair* 🪑, umbrella* ☂, balloon* 🎈,
            gift* 🎁, crown* 👑, robot* 🤖, teapot* 🫖, pencil* ✏, hammer 🔨, snowman=white/snowmen ⛄,
            sun=yellow ☀, rainbow 🌈, football=black and white ⚽""",
        "instrument": "guitar* 🎸, drum* 🥁, bell* 🔔",
        "clothes": "shirt* 👕, dress*/dresses 👗, backpack* 🎒, cap* 🧢",
        "shape": "circle*, square*, triangle*, star*, heart*, diamond*, cross*/crosses, moon*",
    }
    kinds = {}
    for category, row in table.items():
        for entry in map(str.strip, row.split(",")):
            words, glyph = (entry, "") if category == "shape" else entry.rsplit(" ", 1)
            marked, _, plural = words.partition("/")
            bare, _, colour = marked.partition("=")
            name = bare.rstrip("*")
            kinds[name] = Kind(
                name, plural or name + "s", glyph or None, bare.endswith("*"), category, colour or None
            )
    return kinds


KINDS: dict[str, Kind] = _kinds()


def article(noun_phrase: str) -> str:
    """`"red car"` → `"a red car"`, `"apple"` → `"an apple"`. The world has no silent h and no "unicorn"."""
    return f"{'an' if noun_phrase[0] in 'aeiou' else 'a'} {noun_phrase}"
