"""Pictures that look like photographs, made by code: what a camera sees of the world outside the drawn one.

They teach the model where its world ends, so only their look matters: grain, shading, clutter, soft focus.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llavakit.tiny.outside.fields import Collage, Floats, blurred, field, one_of, outline, palette, tinted
from llavakit.tiny.outside.scenery import SCENERY, Painter, Size

_SKINS = ("skin", "skin", "dark skin")
_CLOTHES = ("cloth", "red cloth", "monochrome", "night", "wall", "snow", "flowers", "grass", "bark")


def clutter(rng: np.random.Generator, size: Size) -> Floats:
    """Things over things over things, small ones commonest, as in any untidy view."""
    width, height = size
    names = tuple(rng.choice(tuple(_GROUNDS), size=3))
    pile = Collage(rng, size)
    pile.draw.rectangle((0, 0, width, height), fill=pile.material(one_of(rng, *names)))
    smallest = rng.uniform(0.015, 0.05)
    pieces = int(rng.integers(50, 180))
    sizes = np.sort(smallest / np.sqrt(rng.uniform(0.004, 1, pieces)))[:: int(rng.choice((-1, -1, 1)))]
    for share in sizes:
        reach = float(share) * max(size)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        ball = (x, y, reach) if rng.random() < 0.5 else None
        fill = pile.material(one_of(rng, *names), rng.uniform(0.02, 0.3), 0.4, ball)
        shape = outline(
            rng, x, y, reach * rng.uniform(0.3, 1), reach * rng.uniform(0.3, 1), rng.uniform(0, 0.5)
        )
        pile.draw.polygon(shape[:: int(rng.choice((1, 1, 5, 9)))], fill=fill)
    return pile.paint()


_GROUNDS = ("grass", "leaves", "autumn", "bark", "wood", "stone", "sand", "cloth", "red cloth", "food",
            "flowers", "metal", "skin", "water", "wall", "asphalt", "brick", "snow", "fur",
            "night")  # fmt: skip


def _behind(rng: np.random.Generator, size: Size, *names: str) -> Floats:
    """A photograph as a background, more or less out of focus: painted small, so that it comes quickly."""
    less = int(rng.choice((1, 2, 3, 4, 6)))
    small = (max(8, size[0] // less), max(8, size[1] // less))
    picture = PHOTOGRAPHS[names[int(rng.integers(len(names)))]](rng, small)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC)).astype(np.float32)


def still_life(rng: np.random.Generator, size: Size) -> Floats:
    """A few round or long things with shadows on a table, the room behind out of focus."""
    width, height = size
    horizon = rng.uniform(0.0, 0.55) * height
    back = _behind(rng, size, "clutter", "texture", "room", "wall", "foliage")
    table = Collage(rng, size)
    table.draw.rectangle(
        (0, horizon, width, height), fill=table.material(one_of(rng), rng.uniform(0.05, 0.3))
    )
    picture = table.paint(back)
    things, shadows = Collage(rng, size), Collage(rng, size)
    alike = one_of(rng) if rng.random() < 0.5 else None
    for y in np.sort(rng.uniform(max(horizon, 0.25 * height), height * 0.95, int(rng.integers(1, 9)))):
        reach = rng.uniform(0.07, 0.26) * max(size) * (0.6 + 0.6 * y / height)
        x = rng.uniform(0.05, 0.95) * width
        wide, high = reach * rng.uniform(0.5, 1.1), reach * rng.uniform(0.5, 1.1)
        low = y + 0.7 * high
        shadows.draw.ellipse((x - wide, low, x + 1.5 * wide, low + 0.5 * high), fill=1)
        fill = things.material(alike or one_of(rng), rng.uniform(0.03, 0.25), ball=(x, y, max(wide, high)))
        things.draw.polygon(outline(rng, x, y, wide, high, rng.uniform(0.02, 0.3)), fill=fill)
        for _ in range(int(rng.integers(0, 4))):
            spot = things.material(one_of(rng), 0.2, ball=(x, y, reach))
            a, b = rng.uniform(-0.6, 0.6, 2)
            things.draw.polygon(
                outline(rng, x + a * wide, y + b * high, 0.3 * wide, 0.2 * high, 0.4), fill=spot
            )
    dark = np.asarray(shadows.mask()).astype(np.float32)[..., None]
    shade = np.float32(rng.uniform(0.3, 0.8) / 255)
    picture = picture * (1 - shade * blurred(dark.repeat(3, 2), 0.02 * max(size)))
    return blurred(things.paint(picture), rng.uniform(0.4, 1.2))


def _person(rng: np.random.Generator, paper: Collage, x: float, feet: float, tall: float) -> None:
    skin, hair = one_of(rng, *_SKINS), one_of(rng, "black fur", "fur", "bark", "wall", "night")
    head = tall * rng.uniform(0.065, 0.085)
    top = feet - tall
    lean = rng.normal(0, 0.06) * tall
    cloth = paper.material(one_of(rng, *_CLOTHES), rng.uniform(0.05, 0.3), 0.8)
    legs = paper.material(one_of(rng, *_CLOTHES), rng.uniform(0.05, 0.25), 0.8)
    flesh = paper.material(skin, 0.06, 0.6)
    hip, neck = feet - 0.48 * tall, top + 2.3 * head
    for side in (-1, 1):
        out = side * tall * rng.uniform(0.02, 0.16)
        limb = max(2, round(0.075 * tall))
        paper.draw.line([(x, hip), (x + out * 0.8, (hip + feet) / 2), (x + out, feet)], fill=legs, width=limb)
        hand = (x + lean + side * tall * rng.uniform(0.05, 0.25), neck + tall * rng.uniform(-0.1, 0.4))
        elbow = (x + lean + side * tall * rng.uniform(0.12, 0.2), neck + 0.18 * tall)
        shoulder = (x + lean + side * 0.1 * tall, neck + 0.04 * tall)
        arm = flesh if rng.random() < 0.4 else cloth
        paper.draw.line([shoulder, elbow, hand], fill=arm, width=max(2, round(0.05 * tall)))
        paper.draw.ellipse(
            (hand[0] - head / 3, hand[1] - head / 3, hand[0] + head / 3, hand[1] + head / 3), flesh
        )
    paper.draw.polygon(
        outline(rng, x + lean / 2, (neck + hip) / 2, 0.12 * tall, 0.19 * tall, 0.12), fill=cloth
    )
    at = x + lean
    crown = paper.material(hair, 0.3, 0.5)
    long = rng.uniform(0.9, 1.9)
    paper.draw.polygon(
        outline(rng, at, top + head * (0.4 + 0.4 * long), 1.02 * head, long * head, 0.15), fill=crown
    )
    face = paper.material(skin, 0.05, ball=(at, top + 1.1 * head, 1.3 * head))
    paper.draw.ellipse((at - 0.75 * head, top + 0.35 * head, at + 0.75 * head, top + 2.2 * head), fill=face)
    if head > 5:
        dark = paper.material((50, 30, 28), 0.1)
        for side in (-1, 1):
            ex, ey, r = at + side * 0.3 * head, top + 1.05 * head, 0.1 * head
            paper.draw.ellipse((ex - 1.4 * r, ey - r, ex + 1.4 * r, ey + r), fill=dark)
        my, shade = top + 1.75 * head, paper.material(one_of(rng, "red cloth", *_SKINS), 0.05)
        paper.draw.ellipse((at - 0.3 * head, my - 0.1 * head, at + 0.3 * head, my + 0.1 * head), fill=shade)


def people(rng: np.random.Generator, size: Size) -> Floats:
    """One to six figures, near or far, before whatever is there."""
    width, height = size
    back = _behind(rng, size, "landscape", "room", "street", "clutter", "texture", "foliage", "wall")
    paper = Collage(rng, size)
    for _ in range(int(rng.choice((1, 1, 1, 2, 3, 6)))):
        tall = height * rng.choice((rng.uniform(0.4, 0.9), rng.uniform(1.0, 2.6)))
        top = height * rng.uniform(0.02, 0.25) if tall > 0.75 * height else rng.uniform(0.2, 0.5) * height
        _person(rng, paper, rng.uniform(0.12, 0.88) * width, top + tall, tall)
    return blurred(paper.paint(back), rng.uniform(0.3, 1.0))


def sparse(rng: np.random.Generator, size: Size) -> Floats:
    """A figure or two, or a few shaded lumps, with their shadows, before smooth snow, sky, sand or wall."""
    width, height = size
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(rng.uniform(-1, 1))
    values = (
        down + rng.uniform(0.1, 0.4) * field(rng, size, 32) + rng.uniform(0.02, 0.15) * field(rng, size, 14)
    )
    back = tinted(values, palette(rng, "snow", "wall", "sky", "grey sky", "sand", "grass", "water", "stone"))
    paper, shadows = Collage(rng, size), Collage(rng, size)
    for _ in range(int(rng.integers(1, 4))):
        x, tall = rng.uniform(0.15, 0.85) * width, rng.uniform(0.25, 0.75) * height
        feet = rng.uniform(tall, 0.98 * height)
        shadows.draw.ellipse((x - tall / 4, feet - tall / 20, x + tall / 2, feet + tall / 20), fill=1)
        if rng.random() < 0.6:
            _person(rng, paper, x, feet, tall)
            continue
        y, wide = feet - tall / 2, tall * rng.uniform(0.3, 0.8)
        for _ in range(int(rng.integers(1, 7))):
            a, b = x + rng.normal(0, 0.3) * wide, y + rng.normal(0, 0.3) * tall / 2
            fill = paper.material(one_of(rng), rng.uniform(0.05, 0.3), ball=(a, b, wide))
            lump = outline(rng, a, b, wide * rng.uniform(0.2, 0.7), tall * rng.uniform(0.1, 0.4), 0.3)
            paper.draw.polygon(lump, fill=fill)
    dark = np.asarray(shadows.mask()).astype(np.float32)[..., None].repeat(3, 2)
    back = back * (1 - np.float32(0.5 / 255) * blurred(dark, 0.012 * max(size)))
    grain = rng.normal(0, rng.uniform(2, 8), (height, width, 1)).astype(np.float32)
    return blurred(paper.paint(back), rng.uniform(0.3, 1.0)) + grain


def creature(rng: np.random.Generator, size: Size) -> Floats:
    """A furry or feathered lump with legs and a head, among grass or on a sofa."""
    width, height = size
    back = _behind(rng, size, "landscape", "room", "foliage", "texture", "clutter")
    paper, long = Collage(rng, size), max(size)
    for _ in range(int(rng.choice((1, 1, 2, 4)))):
        reach = rng.uniform(0.12, 0.38) * long
        x, y, side = (
            rng.uniform(0.25, 0.75) * width,
            rng.uniform(0.4, 0.8) * height,
            float(rng.choice((-1, 1))),
        )
        names = ("fur", "black fur", "wall", "snow", "stone", "autumn")
        coat, patch = one_of(rng, *names), one_of(rng, *names)
        body = paper.material(coat, rng.uniform(0.1, 0.35), ball=(x, y, reach))
        for leg in (-0.6, -0.4, 0.4, 0.6):
            foot = (x + leg * reach + rng.normal(0, 0.1) * reach, y + rng.uniform(0.7, 1.2) * reach)
            paper.draw.line(
                [(x + leg * reach, y), foot], fill=paper.material(coat, 0.25), width=int(reach / 5) + 1
            )
        paper.draw.polygon(outline(rng, x, y, reach, reach * rng.uniform(0.35, 0.7), 0.2), fill=body)
        for _ in range(int(rng.integers(0, 8))):
            a, b = rng.uniform(-0.7, 0.7), rng.uniform(-0.3, 0.3)
            spot = paper.material(patch, 0.3, ball=(x, y, reach))
            paper.draw.polygon(
                outline(rng, x + a * reach, y + b * reach, 0.15 * reach, 0.15 * reach, 0.5), fill=spot
            )
        hx, hy, r = x + side * reach * rng.uniform(0.7, 1), y - reach * rng.uniform(0.2, 0.8), reach * 0.4
        for ear in (-1, 1):
            tip = (hx + ear * 0.7 * r, hy - r * rng.uniform(0.8, 1.8))
            paper.draw.polygon(
                [(hx + ear * 0.9 * r, hy), tip, (hx, hy - 0.5 * r)], fill=paper.material(coat, 0.25)
            )
        paper.draw.polygon(
            outline(rng, hx, hy, r, 0.9 * r, 0.2), fill=paper.material(coat, 0.25, ball=(hx, hy, r))
        )
        nose = paper.material((34, 26, 24), 0.1)
        for a, b, s in ((-0.35, -0.15, 0.11), (0.35, -0.15, 0.11), (side * 0.2, 0.4, 0.17)):
            paper.draw.ellipse(
                (hx + (a - s) * r, hy + (b - s) * r, hx + (a + s) * r, hy + (b + s) * r), fill=nose
            )
    picture = paper.paint(back)
    return picture + (rng.uniform(4, 18) * field(rng, size, 14, float(rng.choice((0.3, 3)))))[..., None]


def room(rng: np.random.Generator, size: Size) -> Floats:
    """Walls that recede, a floor, a window too bright, furniture in boxes."""
    width, height = size
    paper = Collage(rng, size)
    left, right = np.sort(rng.uniform(-0.1, 1.1, 2)) * width
    top, low = rng.uniform(-0.2, 0.25) * height, rng.uniform(0.5, 0.9) * height
    indoors = ("wall", "wood", "stone", "sand", "cloth", "monochrome", "brick", "snow")
    walls = [paper.material(one_of(rng, *indoors), rng.uniform(0.02, 0.15), 0.5) for _ in range(4)]
    ground = paper.material(
        one_of(rng, "wood", "stone", "cloth", "sand", "red cloth"), rng.uniform(0.05, 0.3), 0.5
    )
    paper.draw.rectangle((0, 0, width, height), fill=walls[0])
    paper.draw.polygon([(0, -height * 0.3), (left, top), (left, low), (0, height * 1.4)], fill=walls[1])
    paper.draw.polygon(
        [(width, -height * 0.3), (right, top), (right, low), (width, height * 1.4)], fill=walls[2]
    )
    paper.draw.polygon(
        [(left, low), (right, low), (width * 1.3, height * 1.3), (-width * 0.3, height * 1.3)], ground
    )
    for _ in range(int(rng.integers(0, 4))):  # windows, pictures, lamps
        x, y = rng.uniform(0, width), rng.uniform(0, low)
        a, b = rng.uniform(0.05, 0.25, 2) * max(size)
        paper.draw.rectangle(
            (x - 2, y - 2, x + a + 2, y + b + 2), fill=paper.material(one_of(rng, "wood", "snow"))
        )
        glass = paper.material(one_of(rng, "snow", "grey sky", "night", "leaves", "sky"), 0.3)
        paper.draw.rectangle((x, y, x + a, y + b), fill=glass)
    for y in np.sort(rng.uniform(low - 0.1 * height, height, int(rng.integers(2, 12)))):
        x, (a, b) = rng.uniform(-0.1, 1) * width, rng.uniform(0.04, 0.35, 2) * max(size)
        deep = rng.normal(0, 0.08) * max(size)
        colour = one_of(rng, "wood", "bark", "cloth", "red cloth", "metal", "monochrome", "wall", "night")
        roof = [
            (x, y - b),
            (x + a, y - b),
            (x + a + deep, y - b - abs(deep) / 2),
            (x + deep, y - b - abs(deep) / 2),
        ]
        paper.draw.rectangle((x, y - b, x + a, y), fill=paper.material(colour, 0.12, 0.9))
        paper.draw.polygon(roof, fill=paper.material(colour, 0.1, 0.3))
        for shelf in np.arange(y - b, y, max(3.0, b / rng.integers(1, 7))) if rng.random() < 0.4 else ():
            paper.draw.line(
                [(x, shelf), (x + a, shelf)], fill=paper.material(one_of(rng, "night"), 0.1), width=1
            )
    return blurred(paper.paint(), rng.uniform(0.3, 1.2))


def street(rng: np.random.Generator, size: Size) -> Floats:
    """Fronts with rows of windows, a road that narrows, poles, wires, bushes."""
    width, height = size
    down = np.linspace(-2, 2, height, dtype=np.float32)[:, None]
    sky = tinted(down + field(rng, size, 26, 3.0), palette(rng, "sky", "grey sky", "dusk", "night"))
    paper, low = Collage(rng, size), rng.uniform(0.45, 0.8) * height
    x = -0.1 * width
    while x < width:
        wide, high = rng.uniform(0.1, 0.45) * width, rng.uniform(0.1, 0.9) * low
        wall = paper.material(one_of(rng, "brick", "wall", "stone", "sand", "monochrome", "cloth"), 0.12, 0.5)
        paper.draw.rectangle((x, low - high, x + wide, low), fill=wall)
        pane = paper.material(one_of(rng, "night", "sky", "water", "food"), 0.3)
        across, up = rng.uniform(0.04, 0.1, 2) * max(size)
        for wy in np.arange(low - high + up / 2, low - up / 2, up):
            for wx in np.arange(x + across / 3, x + wide - across / 2, across):
                paper.draw.rectangle((wx, wy, wx + 0.5 * across, wy + 0.6 * up), fill=pane)
        x += wide * rng.uniform(0.8, 1.2)
    paper.draw.rectangle(
        (0, low, width, height), fill=paper.material(one_of(rng, "stone", "grass", "sand"), 0.2)
    )
    vanish, road = rng.uniform(0, width), paper.material(one_of(rng, "asphalt", "stone", "bark"), 0.15, 0.4)
    spread = rng.uniform(0.4, 1.2) * width
    paper.draw.polygon([(vanish, low - 3), (vanish + spread, height), (vanish - spread, height)], fill=road)
    for _ in range(int(rng.integers(0, 6))):
        bx, r = rng.uniform(0, width), rng.uniform(0.04, 0.2) * max(size)
        bush = paper.material(one_of(rng, "leaves", "grass", "autumn"), 0.4, ball=(bx, low - r, 1.4 * r))
        paper.draw.polygon(outline(rng, bx, low - r / 2, r, r, 0.5), fill=bush)
    for _ in range(int(rng.integers(0, 7))):
        px, pole = rng.uniform(0, width), paper.material(one_of(rng, "night", "metal"), 0.1)
        paper.draw.line(
            [(px, rng.uniform(0, low)), (px, low + 0.1 * height)], fill=pole, width=int(rng.integers(1, 5))
        )
        paper.draw.line(
            [(px, rng.uniform(0, low)), (rng.uniform(0, width), rng.uniform(0, low))], fill=pole, width=1
        )
    for _ in range(int(rng.integers(0, 7))):  # what stands or drives there: dark lumps with lights and glass
        cx, cy = rng.uniform(0, width), rng.uniform(low, height)
        r = (0.03 + 0.12 * (cy - low) / height) * max(size) * rng.uniform(0.6, 1.6)
        body = paper.material(one_of(rng, "metal", "night", "red cloth", "cloth", "snow"), 0.12, 0.9)
        paper.draw.polygon(outline(rng, cx, cy, r * rng.uniform(0.3, 1.6), r * 0.7, 0.3), fill=body)
        paper.draw.polygon(
            outline(rng, cx, cy - r / 4, r * 0.5, r / 4, 0.3), paper.material(one_of(rng, "night"), 0.3)
        )
    return blurred(paper.paint(sky), rng.uniform(0.3, 1.0))


def plate(rng: np.random.Generator, size: Size) -> Floats:
    """Food heaped on a plate or in a bowl, from above or aslant."""
    width, height = size
    paper, reach = Collage(rng, size), rng.uniform(0.3, 0.6) * max(size)
    x, y = rng.uniform(0.35, 0.65) * width, rng.uniform(0.4, 0.65) * height
    tilt = rng.uniform(0.45, 1)
    for share in (1.0, 0.94, 0.72):
        rim = paper.material(one_of(rng, "snow", "snow", "wall", "cloth", "night"), 0.04, 0.5)
        r = reach * share
        paper.draw.ellipse((x - r, y - r * tilt, x + r, y + r * tilt), fill=rim)
    names = tuple(
        rng.choice(("food", "food", "leaves", "red cloth", "sand", "wall", "bark", "grass"), size=3)
    )
    for _ in range(int(rng.integers(12, 90))):
        angle, far = rng.uniform(0, math.tau), 0.62 * reach * math.sqrt(rng.random())
        a, b = x + far * math.cos(angle), y + tilt * far * math.sin(angle)
        r = reach * rng.uniform(0.04, 0.22)
        fill = paper.material(one_of(rng, *names), rng.uniform(0.05, 0.3), ball=(a, b, r))
        paper.draw.polygon(outline(rng, a, b, r, r * rng.uniform(0.3, 1), 0.3), fill=fill)
    back = _behind(rng, size, "wall", "texture", "clutter", "room")
    return blurred(paper.paint(back), rng.uniform(0.4, 1.2))


def darkness(rng: np.random.Generator, size: Size) -> Floats:
    """Taken at night, or against the light: far too dark or far too bright, but never flat."""
    inside = str(rng.choice(("street", "people", "landscape", "clutter", "still life", "room")))
    picture: NDArray[np.floating] = PHOTOGRAPHS[inside](rng, size)
    if rng.random() < 0.5:
        lamps = Collage(rng, size)
        for _ in range(int(rng.integers(1, 14))):
            x, y, r = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(0.004, 0.03) * max(size)
            lamps.draw.ellipse(
                (x - r, y - r, x + r, y + r), fill=lamps.material(one_of(rng, "dusk", "snow"), 0.0)
            )
        light = lamps.paint(np.zeros_like(picture))
        picture = picture * rng.uniform(0.1, 0.3) + light + 2 * blurred(light, 0.03 * max(size))
    else:
        picture = 255 * (np.clip(picture, 0, 255) / 255) ** rng.uniform(0.25, 0.45) + rng.uniform(0, 40)
    return picture + rng.normal(0, rng.uniform(3, 9), picture.shape).astype(np.float32)


PHOTOGRAPHS: dict[str, Painter] = {
    **SCENERY, "clutter": clutter, "still life": still_life, "people": people, "sparse": sparse,
    "creature": creature, "room": room, "street": street, "plate": plate, "darkness": darkness,
}  # fmt: skip
