"""What the grammar knows of English nouns and of the things they name.

Names are in the singular; those of several words stand with "_". What is unknown here follows the rules of
`nouns.py`. The categories of COCO (Lin et al. 2014) are all here, with what else people call them.
"""


def _table(text: str) -> dict[str, tuple[str, ...]]:
    """Lines of "name: word word …"; one that begins with a space goes on."""
    lines = (line.partition(":") for line in text.strip().replace("\n ", " ").splitlines())
    return {
        name.strip().replace("_", " "): tuple(word.replace("_", " ") for word in words.split())
        for name, _, words in lines
    }


def names(text: str) -> frozenset[str]:
    """Words with spaces between them."""
    return frozenset(word.replace("_", " ") for word in text.split())


# Names that mean several parts in one, and are counted in pairs.
PAIRS = names(
    "scissors trousers pants jeans shorts sunglasses goggles headphones binoculars tongs pliers eyeglasses"
    " spectacles tights leggings pajamas pyjamas earphones earbuds"
)
# Of these there is some, not a number.
MASS = names(
    "broccoli bread rice grass sand snow water sky cheese meat furniture luggage clothing food fruit pasta"
    " cauliflower corn lettuce spinach celery garlic butter honey milk coffee tea juice wine beer soup gravel"
    " dirt mud ice smoke fog wood metal glassware silverware cutlery jewelry hair foliage shrubbery traffic"
    " toilet_paper paper pavement concrete graffiti bacon ham beef pork chicken_meat popcorn ice_cream sushi"
    " asparagus salad_dressing mustard ketchup sugar salt pepper flour equipment garbage trash"
)
# A plural that has no number: nobody says whether a pair of them or each one is counted.
PLURAL = names("skis clothes stairs glasses blinds curtains groceries")
# Singular in spite of its "s".
SINGULAR = names("lens canvas atlas gas bus pancreas christmas")

# What a category is called in sentences. "True" of the second: the word is wider than the category, so that
# of the one there may be more than of the other, and it is not counted.
SPOKEN = {
    "dining table": ("table", True), "diningtable": ("table", True), "sports ball": ("ball", True),
    "tv": ("TV", False), "tvmonitor": ("TV", False), "pottedplant": ("potted plant", False),
    "aeroplane": ("airplane", False), "motorbike": ("motorcycle", False), "suv": ("SUV", False),
}  # fmt: skip

# Other words that captions use for what is in the category: a number before one of them is one of the
# category's.
SYNONYMS = _table("""
person: individual human
bicycle: bike
car: automobile sedan taxi cab suv jeep minivan convertible hatchback
motorcycle: motorbike scooter moped bike
airplane: plane jet airliner aircraft aeroplane jetliner
bus: coach
train: locomotive
truck: lorry pickup
boat: ship ferry canoe kayak sailboat yacht vessel raft
traffic_light: stoplight
fire_hydrant: hydrant
bird: duck goose gull seagull pigeon parrot swan crow owl hawk eagle chicken rooster hen peacock ostrich
cat: kitten kitty
dog: puppy pup
horse: pony foal stallion mare
sheep: lamb ram ewe
cow: bull calf ox cattle steer
bear: cub
umbrella: parasol
handbag: purse
tie: necktie bowtie
suitcase: briefcase
skis: ski
snowboard: snowboard
sports_ball: ball baseball football basketball volleyball
bottle: flask
wine_glass: glass goblet
cup: mug
knife: blade
sandwich: burger hamburger panini
hot_dog: hotdog frank
donut: doughnut
couch: sofa loveseat
potted_plant: plant houseplant
dining_table: table
tv: television
laptop: notebook
remote: controller
cell_phone: cellphone phone smartphone iphone
refrigerator: fridge
teddy_bear: teddy
hair_drier: hairdryer dryer blowdryer
""")
# People by what they are: "two men" may stand beside a third person.
PEOPLE = names(
    "man woman boy girl child kid baby toddler infant guy lady gentleman male female adult teen teenager"
    " bride groom mother father son daughter brother sister"
)
DOERS = names(
    "player batter pitcher catcher umpire skier snowboarder surfer skateboarder skater rider cyclist biker"
    " motorcyclist driver passenger pedestrian worker chef cook waiter waitress policeman officer soldier"
    " fireman student spectator fan tourist athlete golfer swimmer jogger runner dancer musician farmer"
    " cowboy boxer hiker vendor customer shopper guest performer friend someone somebody"
)
# Words from which one might conclude that something of the category is there, whatever they mean.
HINTS = _table("""
person: crowd couple team family group audience crew hand hands face arm arms leg legs finger thumb he she his
 her him they their them himself herself everyone selfie players
car: vehicle traffic parking van volkswagen bmw racecar
truck: van trailer lorry semi
train: railroad railway rail rails metro subway tram trolley streetcar caboose station
traffic_light: light lights signal intersection
stop_sign: sign signs
parking_meter: meter meters
bench: seat bleachers
bird: flock
dog: canine husky poodle labrador bulldog retriever terrier hound dachshund pug beagle corgi
cat: feline tabby
horse: equestrian jockey carriage
cow: herd livestock
umbrella: canopy
handbag: bag bags
backpack: bag bags rucksack
suitcase: luggage baggage bag bags
tie: suit suits tuxedo
frisbee: disc disk
skis: skier skiers skiing slope slopes
snowboard: snowboarder snowboarding snowboarders board
surfboard: surfer surfers surfing board boogie bodyboard
skateboard: skateboarder skateboarding skateboarders skate board skater
kite: kiteboarding parasail
baseball_bat: baseball bat batter swing
baseball_glove: baseball mitt glove catcher
tennis_racket: tennis racquet
sports_ball: ball tennis soccer baseball football basketball volleyball game
bottle: wine beer liquor alcohol drink
wine_glass: wine drink drinks
cup: coffee tea drink drinks glass glasses beverage
fork: utensil utensils eating dining
knife: utensil utensils eating dining
spoon: utensil utensils eating dining
bowl: dish dishes soup salad cereal eating
banana: fruit fruits plantain
apple: fruit fruits
orange: fruit fruits citrus tangerine clementine
sandwich: bun sub bread toast
broccoli: vegetable vegetables veggie veggies greens
carrot: vegetable vegetables veggie veggies
donut: pastry pastries bagel
cake: dessert cupcake pastry pastries
chair: seat seats stool armchair recliner seating chaise
couch: seat seats seating settee futon chaise
potted_plant: flower flowers pot pots vase tree greenery
bed: bedroom mattress bunk
dining_table: desk counter countertop
toilet: bathroom restroom urinal commode
tv: screen monitor
laptop: computer computers
mouse: computer
keyboard: computer piano
remote: wii control
cell_phone: mobile
microwave: oven appliances
oven: stove range appliances
toaster: appliances
sink: basin bathroom faucet
refrigerator: freezer appliances
book: bookshelf bookcase novel magazine reading
clock: watch time tower
vase: flower flowers pot jar
scissors: shears
teddy_bear: stuffed toy toys bear bears
toothbrush: brush brushing
""")

# What sorts of things there are, as far as nobody would dispute it; COCO's supercategories go further.
GROUPS = _table("""
animal: bird cat dog horse sheep cow elephant bear zebra giraffe lion tiger monkey rabbit duck goose deer goat
 pig fox wolf turtle frog snake squirrel penguin owl parrot pigeon camel kangaroo panda koala leopard cheetah
 hippopotamus rhinoceros donkey pony puppy kitten butterfly bee whale dolphin shark swan eagle ostrich
 antelope gorilla
vehicle: bicycle car motorcycle airplane bus train truck boat van taxi tram scooter helicopter ship tractor
 ambulance fire_truck sailboat canoe kayak ferry limousine
food: banana apple sandwich orange broccoli carrot hot_dog pizza donut cake bread cheese lemon strawberry
 peach pineapple watermelon tomato cucumber cookie hamburger salad pancake waffle cupcake muffin croissant
 bagel taco burrito pasta rice
furniture: chair couch bed dining_table table desk bench stool sofa armchair bookcase wardrobe nightstand
fruit: banana apple orange lemon strawberry peach pineapple watermelon
appliance: microwave oven toaster refrigerator dishwasher
device: tv laptop cell_phone camera radio computer
clothing: tie hat shirt jacket coat scarf dress skirt trousers pants jeans
sport: frisbee skis snowboard sports_ball baseball_bat baseball_glove skateboard surfboard tennis_racket
""")
# A caption that has one of these speaks of something of the group, whatever that is.
GROUP_HINTS = _table("""
animal: animal creature wildlife pet herd zoo cub baby monkey baboon fish chicken insect
vehicle: vehicle transportation
food: food meal snack lunch dinner breakfast dessert plate dish vegetable fruit soup
fruit: fruit
furniture: furniture
appliance: appliance kitchen
device: electronics device gadget
clothing: clothes clothing outfit
sport: sport equipment gear
""")
