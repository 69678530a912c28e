"""What the drawn world is made of: kinds of thing, their names in English and Chinese, what is commonly known
of them, and the colours they come in.

Knows words and glyphs; how a thing looks is `draw`, where it stands is `compose`.
"""

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llavakit.tiny.world import scene

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
    "white": (246, 246, 246),
    "brown": (128, 76, 38),
}

# What several of each category are called, in English and Chinese.
CATEGORIES: dict[str, tuple[str, str]] = {
    "animal": ("animals", "动物"), "fruit": ("fruits", "水果"), "vegetable": ("vegetables", "蔬菜"),
    "food": ("foods", "食物"), "drink": ("drinks", "饮料"), "vehicle": ("vehicles", "交通工具"),
    "plant": ("plants", "植物"), "furniture": ("pieces of furniture", "家具"), "tool": ("tools", "工具"),
    "instrument": ("instruments", "乐器"), "clothes": ("clothes", "衣物"), "toy": ("toys", "玩具"),
    "sport": ("sports things", "运动用品"), "utensil": ("utensils", "餐具"),
    "building": ("buildings", "建筑"),
    "object": ("objects", "物品"), "shape": ("shapes", "形状"),
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """A kind of thing.

    Attributes:
        glyph: its emoji; None for a shape drawn by code
        tintable: whether it is painted in any of `COLOURS`
        colour: the word for what it looks like unpainted, where every drawing style agrees; else None
        zh: the Chinese noun, and `measure` its classifier
        synonyms: what else people call one; never another kind's name
        tags: what is commonly known of it, and where it belongs
        other: a second emoji of the same kind, where there is one (a cat's face)
    """

    name: str
    plural: str
    glyph: str | None
    tintable: bool
    category: str
    colour: str | None = None
    zh: str = ""
    measure: str = "个"
    synonyms: tuple[str, ...] = ()
    tags: frozenset[str] = frozenset()
    other: str | None = None


# A line a kind: glyph, the other glyph if any, name[/plural][=colour][*] | Chinese noun, classifier | tags |
# synonyms. `*` marks a kind that is painted. Left out because they look like another at 28 pixels: rhinoceros
# (elephant), garlic (onion), minibus (bus), melon (watermelon). Tennis ball: some styles draw the racket. The
# fruit is no "orange": that is a colour.
# Close, but ordinary people ask for both: car and taxi, dolphin and whale, cup of tea and bowl of rice.
_TABLE: dict[str, str] = {
    "animal": """
🐈🐱 cat | 猫 只 | pet farm | kitten, kitty
🐕🐶 dog | 狗 只 | pet farm street | puppy, doggy
🐎🐴 horse=brown | 马 匹 | farm | pony
🐄🐮 cow | 奶牛 头 | farm | cattle
🐖🐷 pig=pink | 猪 头 | farm | piglet, hog
🐑 sheep/sheep=white | 羊 只 | farm | lamb
🐔🐓 chicken | 鸡 只 | farm | hen, rooster
🐥 chick=yellow | 小鸡 只 | farm | baby chicken
🦆 duck | 鸭子 只 | farm swims flies |
🐇🐰 rabbit | 兔子 只 | pet farm | bunny
🐁🐭 mouse/mice | 老鼠 只 | farm wild |
🐿 squirrel=brown | 松鼠 只 | wild | chipmunk
🦔 hedgehog | 刺猬 只 | wild |
🦊 fox/foxes=orange | 狐狸 只 | wild |
🐺 wolf/wolves=grey | 狼 只 | wild |
🐻 bear=brown | 熊 只 | wild |
🐼 panda=black and white | 熊猫 只 | wild | panda bear
🐨 koala=grey | 考拉 只 | wild | koala bear
🐅🐯 tiger=orange | 老虎 只 | wild |
🦁 lion | 狮子 头 | wild |
🐘 elephant=grey | 大象 头 | wild |
🦒 giraffe | 长颈鹿 只 | wild |
🦓 zebra=black and white | 斑马 匹 | wild |
🐫🐪 camel | 骆驼 匹 | desert wild | dromedary
🦘 kangaroo | 袋鼠 只 | wild desert |
🐒🐵 monkey=brown | 猴子 只 | wild |
🦍 gorilla | 大猩猩 只 | wild | ape
🦌 deer/deer=brown | 鹿 只 | wild | stag
🦇 bat | 蝙蝠 只 | wild flies |
🐸 frog=green | 青蛙 只 | wild swims | toad
🐊 crocodile=green | 鳄鱼 条 | wild swims | alligator
🐢 turtle=green | 乌龟 只 | beach swims wild | tortoise
🦎 lizard=green | 蜥蜴 只 | desert wild | gecko
🐍 snake=green | 蛇 条 | desert wild | serpent
🦖 dinosaur=green | 恐龙 只 | wild | tyrannosaurus
🐟🐠 fish/fish=blue* | 鱼 条 | swims beach pet |
🐳🐋 whale=blue | 鲸鱼 头 | swims |
🐬 dolphin | 海豚 只 | swims |
🦈 shark=grey | 鲨鱼 条 | swims |
🐙 octopus/octopuses* | 章鱼 只 | swims beach |
🦀 crab | 螃蟹 只 | beach swims |
🦐 shrimp | 虾 只 | swims beach | prawn
🐌 snail | 蜗牛 只 | farm | slug
🦋 butterfly/butterflies* | 蝴蝶 只 | flies farm |
🐝 bee | 蜜蜂 只 | flies farm | honeybee, bumblebee
🐞 ladybird=red | 瓢虫 只 | flies farm | ladybug
🐜 ant | 蚂蚁 只 | farm wild |
🕷 spider | 蜘蛛 只 | wild |
🐛 caterpillar | 毛毛虫 条 | farm |
🦂 scorpion | 蝎子 只 | desert |
🦉 owl | 猫头鹰 只 | flies wild |
🐧 penguin=black and white | 企鹅 只 | swims cold wild |
🦩 flamingo=pink | 火烈鸟 只 | flies wild beach |
🦜 parrot | 鹦鹉 只 | flies pet |
🦅 eagle | 老鹰 只 | flies wild desert | hawk
🦢 swan=white | 天鹅 只 | flies swims |
🐦 bird | 小鸟 只 | flies farm street | songbird
🦄 unicorn | 独角兽 只 | |
""",
    "fruit": """
🍎🍏 apple=red* | 苹果 个 | round |
🍌 banana=yellow | 香蕉 根 | |
🍓 strawberry/strawberries=red | 草莓 颗 | |
🍍 pineapple | 菠萝 个 | |
🍉 watermelon | 西瓜 块 | cold |
🍐 pear=green | 梨 个 | |
🍊 tangerine=orange | 橘子 个 | round | mandarin, clementine
🍋 lemon=yellow | 柠檬 个 | sour |
🍇 bunch of grapes/bunches of grapes=purple | 葡萄 串 | | grape
🍒 cherry/cherries=red | 樱桃 颗 | |
🍑 peach/peaches | 桃子 个 | |
🥝 kiwi | 猕猴桃 个 | | kiwi fruit
🥥 coconut | 椰子 个 | beach |
🥑 avocado=green | 牛油果 个 | |
🥭 mango/mangoes | 芒果 个 | |
""",
    "vegetable": """
🥕 carrot=orange | 胡萝卜 根 | farm |
🍅 tomato/tomatoes=red | 西红柿 个 | farm |
🥔 potato/potatoes | 土豆 个 | farm | spud
🌽 corn cob=yellow | 玉米 根 | farm | corn on the cob, maize
🥦 broccoli/broccoli=green | 西兰花 颗 | |
🥒 cucumber=green | 黄瓜 根 | |
🍆 aubergine=purple | 茄子 个 | | eggplant
🌶 chilli=red | 辣椒 个 | | chili pepper, hot pepper
🧅 onion | 洋葱 个 | |
🥬 lettuce=green | 生菜 棵 | farm |
🍄 mushroom | 蘑菇 个 | | toadstool
🎃 pumpkin=orange | 南瓜 个 | farm | jack-o'-lantern
""",
    "food": """
🍞 loaf of bread/loaves of bread | 面包 个 | ingredient bakery | bread, loaf
🥐 croissant | 羊角面包 个 | cafe bakery |
🥖 baguette | 法棍 根 | ingredient bakery | french stick
🥨 pretzel | 椒盐卷饼 个 | cafe bakery |
🧀 piece of cheese/pieces of cheese=yellow | 奶酪 块 | ingredient | cheese
🥚 egg | 鸡蛋 个 | ingredient farm |
🥓 bacon/pieces of bacon | 培根 片 | ingredient |
🥩 steak | 牛排 块 | ingredient | meat
🍗 chicken leg | 鸡腿 个 | | drumstick
🌭 hot dog | 热狗 个 | street beach hot |
🍔 burger | 汉堡 个 | hot | hamburger, cheeseburger
🍟 portion of fries/portions of fries | 薯条 份 | hot | french fry
🍕 pizza | 披萨 块 | hot | slice of pizza
🥪 sandwich/sandwiches | 三明治 个 | cafe |
🌮 taco | 墨西哥卷饼 个 | hot |
🥗 salad | 沙拉 份 | cafe | bowl of salad
🍜 bowl of noodles/bowls of noodles | 面条 碗 | hot | noodle soup
🍚 bowl of rice/bowls of rice | 米饭 碗 | hot | rice
🍣 sushi/sushi | 寿司 份 | |
🎂 cake | 蛋糕 个 | cafe bakery | birthday cake
🍰 slice of cake/slices of cake | 切片蛋糕 块 | cafe bakery | piece of cake
🧁 cupcake | 纸杯蛋糕 个 | cafe bakery | muffin
🍩 doughnut | 甜甜圈 个 | cafe bakery | donut
🍪 cookie | 曲奇 块 | cafe bakery | biscuit
🍫 chocolate bar | 巧克力 块 | | chocolate, bar of chocolate
🍬 sweet | 糖果 颗 | | candy
🍭 lollipop | 棒棒糖 根 | |
🍦🍨 ice cream | 冰淇淋 个 | cold beach cafe | ice cream cone
🥧 pie | 馅饼 个 | cafe bakery |
🍯 pot of honey/pots of honey | 蜂蜜 罐 | ingredient | honey, honey pot
""",
    "drink": """
☕ cup of coffee/cups of coffee | 咖啡 杯 | hot cafe | coffee, coffee cup
🍵 cup of tea/cups of tea | 茶 杯 | hot cafe | tea
🥛 glass of milk/glasses of milk=white | 牛奶 杯 | ingredient cold farm | milk
🍺 beer | 啤酒 杯 | cold | mug of beer, glass of beer
🍷 glass of wine/glasses of wine | 葡萄酒 杯 | cafe | wine, wine glass
🍹 cocktail | 鸡尾酒 杯 | cold beach | tropical drink
🍾 bottle | 瓶子 个 | | champagne bottle, bottle of champagne
""",
    "utensil": """
🔪 knife/knives | 刀 把 | | kitchen knife
🥄 spoon | 勺子 把 | | teaspoon
🍴 fork | 叉子 把 | | fork and knife
🍽 plate | 盘子 个 | | dish, dinner plate
🍳 frying pan | 平底锅 个 | hot | pan, fried egg
🥣 bowl | 碗 个 | |
🫖 teapot* | 茶壶 个 | hot cafe | tea pot
""",
    "vehicle": """
🚗🚙 car=red* | 汽车 辆 | wheels street | automobile, auto, motorcar
🚕 taxi=yellow | 出租车 辆 | wheels street | cab, taxicab
🚓🚔 police car | 警车 辆 | wheels street | cop car, patrol car
🚒 fire engine=red | 消防车 辆 | wheels street | fire truck
🚑 ambulance=white | 救护车 辆 | wheels street |
🚚🚛 truck | 卡车 辆 | wheels street | lorry, delivery van
🏎 racing car | 赛车 辆 | wheels | race car, sports car
🚌🚍 bus/buses* | 公交车 辆 | wheels street | coach
🚜 tractor=green* | 拖拉机 辆 | wheels farm |
🏍 motorbike | 摩托车 辆 | wheels street | motorcycle
🛵 scooter | 小摩托车 辆 | wheels street | moped
🚲 bicycle* | 自行车 辆 | wheels street | bike, pushbike
🚂🚆 train* | 火车 列 | wheels | locomotive, steam engine
✈ plane* | 飞机 架 | flies sky | airplane, aeroplane, jet
🚁 helicopter* | 直升机 架 | flies sky | chopper
🚀 rocket* | 火箭 枚 | flies sky | spaceship, space rocket
🛸 flying saucer | 飞碟 个 | flies sky | ufo
⛵ boat* | 帆船 艘 | swims beach | sailing boat, sailboat
🚢 ship | 轮船 艘 | swims | ocean liner, cruise ship
🛶 canoe | 独木舟 只 | swims | kayak
""",
    "plant": """
🌳 tree=green | 树 棵 | farm street |
🌲 fir tree=green | 松树 棵 | wild cold | pine, pine tree
🌴 palm tree=green | 棕榈树 棵 | beach desert | palm
🌵 cactus/cactuses=green | 仙人掌 棵 | desert |
🌻 sunflower=yellow | 向日葵 朵 | farm |
🌹 rose=red | 玫瑰 朵 | |
🌷 tulip | 郁金香 朵 | farm |
🌸 flower=pink | 花 朵 | farm | blossom, cherry blossom
🍁 leaf/leaves* | 叶子 片 | | maple leaf
🍀 clover=green | 四叶草 棵 | farm | four-leaf clover, shamrock
🪴 pot plant | 盆栽 盆 | classroom cafe | potted plant, houseplant
""",
    "furniture": """
🪑 chair* | 椅子 把 | classroom cafe | seat
🛏 bed | 床 张 | |
🛋 sofa | 沙发 张 | cafe | couch, settee
🚪 door=brown | 门 扇 | |
🛁 bath | 浴缸 个 | | bathtub
🚽 toilet | 马桶 个 | | loo
""",
    "instrument": """
🎸 guitar* | 吉他 把 | |
🥁 drum* | 鼓 个 | |
🔔 bell* | 铃铛 个 | classroom |
🎺 trumpet | 小号 把 | |
🎻 violin | 小提琴 把 | | fiddle
🎷 saxophone | 萨克斯 把 | | sax
🎹 piano | 钢琴 架 | | musical keyboard
""",
    "clothes": """
👕 shirt=blue* | 衬衫 件 | | tee shirt, top
👗 dress/dresses=blue* | 连衣裙 条 | | frock
🧢 cap=blue* | 帽子 顶 | beach | baseball cap
👖 pair of trousers/pairs of trousers=blue | 裤子 条 | | trousers, jeans
🧦 pair of socks/pairs of socks | 袜子 双 | cold | socks
🧤 pair of gloves/pairs of gloves | 手套 双 | cold | gloves
🧣 scarf/scarves | 围巾 条 | cold |
🧥 coat | 外套 件 | cold | jacket
👟 shoe | 鞋子 只 | | trainer, sneaker, running shoe
👠 high heel=red | 高跟鞋 只 | | high-heeled shoe
👢 boot | 靴子 只 | cold |
🎩 top hat=black | 礼帽 顶 | |
👒 straw hat | 草帽 顶 | beach farm | sun hat
👓 pair of glasses/pairs of glasses | 眼镜 副 | classroom | spectacles
🕶 pair of sunglasses/pairs of sunglasses=black | 墨镜 副 | beach | sunglasses
""",
    "tool": """
🔨 hammer | 锤子 把 | farm |
🔧 spanner | 扳手 把 | | wrench
🪛 screwdriver | 螺丝刀 把 | |
🪚 saw | 锯子 把 | farm | handsaw
🪓 axe | 斧头 把 | farm | hatchet
🪜 ladder | 梯子 架 | farm |
🧹 broom | 扫帚 把 | farm | broomstick
🪣 bucket=blue | 水桶 个 | beach farm | pail
✂ pair of scissors/pairs of scissors | 剪刀 把 | classroom | scissors
""",
    "toy": """
🧸 teddy bear=brown | 泰迪熊 只 | | teddy
🎈 balloon=red* | 气球 个 | flies |
🪁 kite | 风筝 只 | flies beach sky |
🎲 dice/dice | 骰子 个 | classroom | die
🤖 robot* | 机器人 个 | |
🧩 puzzle piece | 拼图 块 | classroom | jigsaw piece
""",
    "sport": """
⚽ football=black and white | 足球 个 | round beach | soccer ball
🏀 basketball=orange | 篮球 个 | round |
⚾ baseball=white | 棒球 个 | round |
🏐 volleyball | 排球 个 | round beach | beach ball
🏉 rugby ball | 橄榄球 个 | |
🛹 skateboard | 滑板 个 | wheels street |
🥊 boxing glove=red | 拳击手套 只 | |
🎯 dartboard | 飞镖靶 个 | round | target, bullseye
🏆 trophy/trophies=yellow | 奖杯 个 | |
🏅 medal | 奖牌 枚 | |
""",
    "building": """
🏠 house* | 房子 座 | farm street | home, cottage
🏰 castle | 城堡 座 | |
⛺ tent | 帐篷 顶 | beach desert |
🗼 tower | 铁塔 座 | | eiffel tower
""",
    "object": """
📕📗 book=red* | 书 本 | classroom | textbook
✏ pencil* | 铅笔 支 | classroom |
🖊 pen | 钢笔 支 | classroom | ballpoint
🖍 crayon | 蜡笔 支 | classroom |
📏 ruler | 尺子 把 | classroom |
🎒 backpack=red* | 背包 个 | classroom | rucksack, schoolbag, school bag
🌍🌎 globe | 地球仪 个 | classroom round | earth, planet
🔑 key* | 钥匙 把 | |
🔒 padlock | 锁 把 | | lock
⏰ clock* | 闹钟 个 | classroom | alarm clock
⌚ watch/watches | 手表 块 | | wristwatch
☂ umbrella* | 雨伞 把 | street beach | brolly
🎁 gift* | 礼物 份 | | present
👑 crown=yellow* | 王冠 顶 | |
💍 ring | 戒指 枚 | | diamond ring
💎 gem=blue | 宝石 颗 | | jewel, gemstone
💡 light bulb=yellow | 灯泡 个 | classroom cafe | lamp, bulb
🕯 candle | 蜡烛 根 | cafe hot |
🔦 torch/torches | 手电筒 个 | | flashlight
📷📸 camera | 照相机 台 | beach |
📱 phone | 手机 部 | cafe street | mobile phone, smartphone, cell phone
☎ telephone=red* | 电话 部 | | landline
💻 laptop | 笔记本电脑 台 | cafe classroom | computer, notebook computer
📺 television | 电视 台 | | tv, telly
📻 radio | 收音机 台 | beach |
🎤 microphone | 麦克风 个 | | mic
📦 box/boxes | 箱子 个 | street | cardboard box, parcel, package
✉ envelope | 信封 封 | | letter
🧺 basket | 篮子 个 | farm beach |
🚩 flag=red | 旗子 面 | beach |
🚦🚥 traffic light | 红绿灯 个 | street | traffic signal
🛑 stop sign=red | 停车标志 块 | street |
⚓ anchor | 锚 个 | beach |
🧲 magnet=red | 磁铁 块 | classroom |
🐚 shell | 贝壳 个 | beach | seashell
⛱ parasol | 遮阳伞 把 | beach | beach umbrella
⛄ snowman/snowmen=white | 雪人 个 | cold |
👻 ghost=white | 鬼 个 | flies |
☀🌞 sun=yellow | 太阳 个 | sky hot beach desert farm |
🌈 rainbow | 彩虹 道 | sky farm |
☁ cloud | 云 朵 | sky farm |
⚡ lightning bolt=yellow | 闪电 道 | sky | bolt of lightning
❄ snowflake | 雪花 片 | sky cold |
🔥 flame | 火 团 | hot | fire
💧 drop of water/drops of water=blue | 水滴 滴 | | water drop, droplet, raindrop
""",
    "shape": """
🔴 circle* | 圆形 个 | | disc
🟥 square* | 正方形 个 | |
🔺 triangle* | 三角形 个 | |
⭐🌟 star* | 星形 个 | sky |
❤ heart* | 心形 个 | |
🔷 diamond* | 菱形 个 | | rhombus
➕ cross/crosses* | 十字 个 | | plus sign
🌙 moon* | 月牙 个 | sky | crescent, crescent moon
 oval* | 椭圆 个 | | ellipse
 hexagon* | 六边形 个 | |
""",
}

# What all of a category have in common.
_COMMON: dict[str, str] = {
    "fruit": "edible ingredient kitchen", "vegetable": "edible ingredient kitchen", "food": "edible kitchen",
    "drink": "drink kitchen", "utensil": "kitchen", "furniture": "home", "instrument": "music",
    "clothes": "wearable", "tool": "tool", "toy": "toy", "sport": "sport",
}  # fmt: skip


def _kind(category: str, line: str) -> Kind:
    first, chinese, tags, synonyms = (field.strip(" ") for field in line.split("|"))
    glyphs, marked = (field.strip() for field in (line.split(" ", 1)[0], first.split(" ", 1)[-1]))
    words, _, colour = marked.rstrip("*").partition("=")
    name, _, plural = words.partition("/")
    zh, measure = chinese.split()
    shape = category == "shape"
    glyph, other = (None, glyphs[:1]) if shape else (glyphs[0], glyphs[1:])
    return Kind(
        name, plural or name + "s", glyph, marked.endswith("*"), category, colour or None, zh, measure,
        tuple(word.strip() for word in synonyms.split(",") if word),
        frozenset(f"{tags} {_COMMON.get(category, '')}".split()), other or None,
    )  # fmt: skip


def _kinds() -> dict[str, Kind]:
    kinds = [
        _kind(category, line) for category, rows in _TABLE.items() for line in rows.strip("\n").split("\n")
    ]
    return {kind.name: kind for kind in kinds}


KINDS: dict[str, Kind] = _kinds()


# What people seldom ask a picture for: drawn a third as often as the rest.
_RARE = """
    hedgehog, wolf, koala, gorilla, bat, lizard, shrimp, ant, caterpillar, scorpion, parrot, eagle, swan,
    kiwi, coconut, avocado, mango, potato, onion, lettuce, cucumber, croissant, baguette, pretzel, bacon,
    steak, chicken leg, taco, salad, bowl of noodles, bowl of rice, sushi, slice of cake, cupcake,
    chocolate bar, sweet, lollipop, pie, pot of honey, glass of wine, cocktail, bowl, racing car,
    scooter, flying saucer, canoe, clover, pot plant, bath, toilet, saxophone, violin, pair of gloves,
    scarf, coat, high heel, boot, top hat, straw hat, spanner, screwdriver, saw, axe, ladder, broom,
    puzzle piece, volleyball, rugby ball, baseball, skateboard, boxing glove, dartboard, medal, tower,
    ring, gem, padlock, torch, radio, microphone, basket, magnet, anchor, shell, parasol, crayon, ruler,
    lightning bolt, snowflake, drop of water, hexagon, oval, kangaroo, squirrel, stop sign, watch,
    candle, piano, tent
"""
RARE: frozenset[str] = frozenset(name.strip() for name in _RARE.split(","))
assert set(KINDS) >= RARE


def colour_of(thing: "scene.Thing") -> str | None:
    """What colour one sees: its paint, else what its kind has by nature, None where that has no one word."""
    return thing.colour or KINDS[thing.kind].colour


def held_out(kind: str, colour: str) -> bool:
    """Whether this is one of the few (6 %) pairs of painted kind and colour that training never shows."""
    return KINDS[kind].tintable and zlib.crc32(f"{kind} in {colour}".encode()) % 100 < 6
