"""The words of captions, by what they do in a sentence, as far as the grammar must know that."""

from llavakit.synth.english import plural
from llavakit.synth.offline import tables
from llavakit.synth.offline.tables import names

# What English sentences hardly do without, and what others are full of.
ENGLISH = names("""
    a an the of in on with and is are at to by for from while that this there next near over under up down
    his her their its it two some several behind front sitting standing
""")
FOREIGN = names("""
    un una uno el la los las le les des du de der das und ein eine einen mit auf im zwei di il gli della
    nel con en y et sur dans avec por para em uma um na os het een op och på med
""")
# Words that say nothing of the picture.
FUNCTION = ENGLISH | names("""
    as be being been was has have had who which into onto out off through around beside between along
    against across one other another each both them they he she him very many lots lot few group couple
    bunch sits sit stands stand laying lying top side back picture image photo photograph view close shown
    shows seen showing looking
""")
# Of people who speak of themselves, and of what only somebody who reads captions would say.
JUNK = names("""
    i my we our us you your lol caption captions captioned bounding annotation annotations annotated
    coordinates coordinate description descriptions described
""")
COLORS = names("""
    black white gray grey red blue green yellow orange brown pink purple tan gold silver beige blonde
    turquoise teal maroon colorful
""")
NUMBERS = names("two three four five six seven eight nine ten eleven twelve single lone")

# Sides of which a picture's captions take one: what one calls a man is no woman to the next.
_SEXES = (
    names("man men boy boys guy guys gentleman gentlemen father son he his him himself"),
    names("woman women girl girls lady ladies mother daughter she her hers herself"),
)
_AGES = (
    names("man men guy gentleman woman women lady ladies adult adults"),
    names("boy boys girl girls child children kid kids baby toddler infant"),
)
_BIRDS = tuple(
    frozenset({bird, plural(bird)})
    for bird in sorted(names("duck goose gull seagull pigeon parrot swan crow owl hawk eagle"))
)
RIVALS = (_SEXES, _AGES, _BIRDS)

_VERBS = names("""
    sit stand lie lay walk run hold ride eat wear carry jump fly hang lean graze play watch wait pose rest
    sleep drive float lead face feature contain show include take make get look stare gaze reach throw
    catch hit swing kick serve pull push cross pass move travel go come stop turn cover fill line surround
    sell buy use try cook prepare cut drink smile laugh talk speak read write work enjoy perform point
    touch feed pet bite chew lick sniff climb swim dive roam wander gather perch peer peek relax recline
    lounge crouch squat kneel bend stretch balance wrap sprawl curl bathe wash brush open close enter
    leave approach follow chase compete celebrate attempt attach connect display decorate adorn share join
    meet greet hug kiss cuddle snuggle nap emerge appear seem become remain stay keep help let give put
    mount admire glance observe examine inspect check toss pitch slide glide soar drift row dock depart
    arrive exit grow bloom reflect shine glow burn fall rise drop spill pour mix bake grill stir slice
    equip wrestle fight bark cast loom jut protrude dangle sway blow bubble splash march parade dance sing
    illuminate proclaim change overlook need want like love know think say see hear feel smell taste do
    pause stroll hike sip dip drag haul unload repair hover swarm nibble browse tackle dribble juggle knit
    listen salute assemble chat converse yawn nurse eye await sample shop camp
""")
# After one thing these may be its verb; behind others they are nouns.
LAYS = names("lays looks covers watches faces turns stops uses shows sits changes plays works")
_NOUNS = names("""
    lines plays shows works faces turns drinks watches slices mounts rows docks drops brushes uses stops
    looks covers likes changes pets lays
""")
FINITE = names("""
    is are was were am isn't aren't there's has have had does did can will could would may might do
""")
THIRD = (
    frozenset(
        f"{verb[:-1]}ies" if verb.endswith("y") and verb[-2] not in "aeiou"
        else f"{verb}es" if verb.endswith(("s", "x", "z", "ch", "sh", "o"))
        else f"{verb}s"
        for verb in _VERBS
    )
    - _NOUNS
)  # fmt: skip
BARE = _VERBS - names("""
    face line cover row pitch close open like dock pet work watch drink show feature display mount slice
    play stop turn use change brush drop eye sample shop camp nurse chat
""")
# No nouns, whatever went before.
ALWAYS = names("sit stand graze look lie stare gaze eat wear hold hang gather glance show")
LINKS = names("""
    in on with at of by near next behind under over inside beside above below between against along around
    through across from for to standing that which who
""")
NO_PARTICIPLES = names("clothing building wedding evening morning king ring wing string during")

# Who does something of which one may ask: in the singular.
_ANIMALS = names("dog cat horse cow sheep bird bear elephant zebra giraffe")
ACTORS = (
    tables.PEOPLE | tables.DOERS | _ANIMALS | {"person"}
    | {word for animal in _ANIMALS for word in tables.SYNONYMS.get(animal, ())}
) - names("male female adult someone somebody")  # fmt: skip
