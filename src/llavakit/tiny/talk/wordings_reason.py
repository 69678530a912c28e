"""The wordings of `reason`: about the place, the sorts of things, the light, what is odd, bays, counting."""

from llavakit.tiny.talk.question import Language

SORTED: dict[Language, dict[str, tuple[str, ...]]] = {
    "en": {
        "either": (
            "Are these {s} or {t}?", "Are they {s} or {t}?", "{s} or {t}?", "Does the {pic} show {s} or {t}?",
            "Do you see {s} or {t}?", "Are the things here {s} or {t}?", "What are these, {s} or {t}?",
            "Would you call these {s} or {t}?",
        ),
        "common": (
            "What kind of things are these?", "What kind of things are in the {pic}?",
            "What sort of things are these?",
            "What do they have in common?", "What do these things have in common?",
            "What category are these?",
            "Which category do these belong to?", "What type of objects are these?",
            "What kinds of things are there?",
            "What group do these things belong to?", "What are these, in one word?",
            "What do all these have in common?",
            "What kind of objects do you see?", "Are they all of the same kind?",
            "What connects these things?",
            "How would you classify these things?", "What class of things is this?",
            "What kinds of objects are shown?",
            "Are these animals, fruit or something else?", "What categories of things do you see?",
        ),
        "which": (
            "Which {s} are there?", "What {s} are there?", "What {s} do you see?", "Which {s} do you see?",
            "Which {s} are in the {pic}?", "What {s} can you see in the {pic}?", "List the {s}.",
            "Name the {s}.",
            "List all the {s}.", "Name all {s} in the {pic}.", "Tell me the {s}.",
            "Tell me which {s} are there.",
            "What kinds of {s} are there?", "What kind of {s} is shown?", "Which {s} can be seen?", "{s}?",
            "Which of these are {s}?", "What are the {s} here?", "Which things are {s}?",
            "Can you name the {s}?",
            "What {s} does the {pic} show?",
        ),
    },
    "zh": {
        "which": ("图中有哪些{s}？", "有什么{s}？", "有哪些{s}？", "你看到哪些{s}？", "请列出{s}。",
                  "图里有什么{s}？", "{s}有哪些？"),
    },
}  # fmt: skip

PLACE: dict[Language, dict[str, tuple[str, ...]]] = {
    "en": {
        "where": (
            "Where is this?", "Where are we?", "What place is this?", "What place is shown in the {pic}?",
            "What kind of place is this?", "Where was this {pic} taken?", "Where does this take place?",
            "What is the setting?", "What is the setting of this {pic}?", "What location is this?",
            "What scene is this?",
            "What sort of place is it?", "Where could this be?", "What kind of scene is this?",
            "Can you tell where this is?",
            "Where is this happening?", "What does this place look like?", "What is the location?",
            "What's this place?",
            "Which place does the {pic} show?", "What is the background?", "Where do you think this is?",
            "Where am I?",
            "What environment is this?", "Name the place.", "What surroundings are these?",
            "What is in the background?",
            "Guess where this is.", "Tell me where this is.", "What's the theme of this {pic}?",
        ),
        "which": (
            "Is this {a} or {b}?", "Is it {a} or {b}?", "Does the {pic} show {a} or {b}?", "{a} or {b}?",
            "Are we looking at {a} or {b}?", "Would you say this is {a} or {b}?", "Which is it: {a} or {b}?",
            "Is the setting {a} or {b}?", "Does this look like {a} or {b}?",
        ),
        "is it": (
            "Is this {guess}?", "Is it {guess}?", "Does the {pic} show {guess}?",
            "Does this look like {guess}?",
            "Are we at {guess}?", "Could this be {guess}?", "Is the place {guess}?",
            "This is {guess}, isn't it?",
            "Is this place {guess}?", "Would you call this {guess}?", "Am I looking at {guess}?",
            "Is {guess} shown here?",
        ),
        "why": (
            "How can you tell that this is {guess}?", "How do you know that this is {guess}?",
            "Why is this {guess}?",
            "Why do you think this is {guess}?", "What tells you that this is {guess}?",
            "How do you know where this is?",
            "How can you tell where this is?", "What makes this {guess}?", "What shows that this is {guess}?",
        ),
    },
    "zh": {
        "where": ("这是哪里？", "这是什么地方？", "这里是什么地方？", "图中是什么地方？", "这是在哪儿？",
                  "这是什么场景？", "图片的背景是什么？",
                  "这个地方是哪里？"),
        "which": ("这是{a}还是{b}？", "这里是{a}还是{b}？", "图中是{a}还是{b}？"),
        "is it": ("这是{guess}吗？", "这里是{guess}吗？", "图中是{guess}吗？", "这是不是{guess}？"),
    },
}  # fmt: skip

LIGHT: dict[Language, dict[str, tuple[str, ...]]] = {
    "en": {
        "which": (
            "Is it day or night?", "Is it day or night in the {pic}?", "Is this at night or during the day?",
            "Day or night?", "Is it daytime or night-time?", "What time of day is it?",
            "What time of the day is this?",
            "Is it light or dark outside?", "Does this happen by day or by night?", "Night or day?",
            "Was this {pic} taken at night or by day?", "Is it night or day?", "Is the sky dark or bright?",
            "Does the {pic} show day or night?", "Can you tell if it is day or night?",
            "Tell me whether it is day or night.",
            "Is it daytime or nighttime?", "What part of the day is it?",
            "What time of day does the {pic} show?",
        ),
        "night": (
            "Is it night?", "Is it dark outside?", "Is it dark?", "Is it night-time?", "Is this at night?",
            "Is it night in the {pic}?", "Is the sky dark?", "Has night fallen?", "Does it look like night?",
            "Is it late at night?", "Was this taken at night?", "Is this a night scene?",
            "Is it nighttime here?",
        ),
        "day": (
            "Is it day?", "Is it daytime?", "Is it light outside?", "Is it bright outside?",
            "Is it day in the {pic}?",
            "Is this during the day?", "Does it look like daytime?", "Was this taken during the day?",
            "Is it broad daylight?",
            "Is the sky bright?", "Is this a daytime scene?",
        ),
        "why": (
            "Is it day or night, and how can you tell?", "Is it day or night? How do you know?",
            "How can you tell whether it is day or night?", "How do you know if it is day or night?",
            "Is it day or night? Why?", "Is it night? Give a reason.", "What tells you the time of day?",
            "Day or night, and why do you think so?", "Explain whether it is day or night.",
        ),
    },
    "zh": {
        "which": ("现在是白天还是晚上？", "这是白天还是夜晚？", "图中是白天还是晚上？", "是白天还是黑夜？",
                  "白天还是晚上？", "现在是什么时候，白天还是夜晚？"),
        "night": ("现在是晚上吗？", "图中是晚上吗？", "这是夜晚吗？", "天黑了吗？", "外面黑吗？",
                  "是晚上吗？"),
        "day": ("现在是白天吗？", "图中是白天吗？", "这是白天吗？", "天亮着吗？", "是白天吗？"),
    },
}  # fmt: skip

WHY: tuple[str, ...] = (
    "How do you know?", "How can you tell?", "Why?", "Why do you think so?", "What makes you say that?",
    "How do you know that?", "What tells you that?", "Why do you say that?", "What is your reason?",
    "Can you explain why?", "How come?", "What makes you think so?", "Explain.", "Give a reason.",
)  # fmt: skip

ODD: dict[str, tuple[str, ...]] = {
    "what": (
        "What is unusual about this {pic}?", "What is unusual here?", "Is anything unusual?",
        "Anything strange?",
        "Anything unusual in this {pic}?", "What is strange about this {pic}?", "What is odd here?",
        "What's wrong with this {pic}?",
        "What does not belong here?", "What doesn't belong here?", "Which thing does not belong here?",
        "What is out of place?",
        "Is something out of place?", "Do you notice anything strange?", "Does anything look odd?",
        "What is weird here?",
        "Is there anything weird in the {pic}?", "What's the odd one out?", "Find the odd one out.",
        "What is surprising here?",
        "Is there something that should not be here?", "What should not be there?",
        "Which thing looks out of place?",
        "What is funny about this {pic}?", "Spot the mistake.", "Is everything normal here?",
        "Is this {pic} normal?",
        "Anything that doesn't fit?", "What does not fit in?", "Is anything out of the ordinary?",
        "See anything odd?",
        "What is peculiar about this scene?", "Tell me what is unusual.", "Is there anything unexpected?",
    ),
    "belongs": (
        "Does the {a} belong here?", "Does the {a} fit in here?", "Is the {a} in the right place?",
        "Would you expect the {a} here?", "Should the {a} be here?", "Does the {a} make sense here?",
    ),
}  # fmt: skip

BAYS: dict[str, tuple[str, ...]] = {
    "occupied": (
        "Which bays are taken?", "Which bays are occupied?", "List the numbers of the occupied bays.",
        "List the occupied bays.", "Which parking spaces are taken?", "Which parking spaces are occupied?",
        "Which spaces are full?", "Which spots are taken?", "Which parking spots are occupied?",
        "In which bays is there a car?",
        "What are the numbers of the occupied bays?", "Give me the numbers of the bays that are taken.",
        "Which bays have a vehicle in them?", "Which bays are in use?", "Which bays are not free?",
        "Which bays are full?",
        "Tell me which bays are occupied.", "Name the occupied bays.",
        "Where are cars parked? Give the bay numbers.",
        "Which numbered bays are occupied?", "What bays are taken?",
        "List the numbers of the taken parking spaces.",
        "Which bays have cars in them?", "Occupied bays?", "Which slots are occupied?",
        "list the bays with cars",
    ),
    "free": (
        "Which bays are free?", "Which bays are empty?", "List the numbers of the free bays.",
        "List the free bays.",
        "Which parking spaces are free?", "Which parking spaces are empty?",
        "Which parking spots are available?",
        "Which spaces are available?", "Which spots are free?", "What are the numbers of the empty bays?",
        "Free bays?",
        "Which bays are vacant?", "Which bays are not occupied?", "Which bays are not taken?",
        "Where can I park?",
        "Tell me which bays are free.", "Name the empty bays.", "Which numbered bays are free?",
        "What bays are free?",
        "Which bay can I park in?", "In which bays is there no car?",
        "List the numbers of the empty parking spaces.",
    ),
    "any free": (
        "Is there a free bay?", "Is there a free parking space?", "Are there any free bays?",
        "Is there anywhere to park?",
        "Are there any empty parking spaces?", "Is any bay free?", "Can I park here?", "Any free spots?",
        "Is there space for another car?", "Is there an empty bay?", "Any parking spaces left?",
    ),
    "how many free": (
        "How many bays are free?", "How many free bays are there?", "How many bays are empty?",
        "How many empty bays are there?",
        "How many parking spaces are free?", "How many spaces are available?",
        "How many free parking spots are there?",
        "Count the free bays.", "How many cars could still park here?", "How many free bays?",
        "How many spaces are left?",
    ),
    "how many occupied": (
        "How many bays are occupied?", "How many bays are taken?", "How many occupied bays are there?",
        "How many parking spaces are taken?", "How many spaces are occupied?",
        "How many parking spots are full?",
        "Count the occupied bays.", "How many bays are in use?", "How many occupied bays?",
        "In how many bays is there a car?",
    ),
    "is it free": (
        "Is bay {n} free?", "Is bay {n} empty?", "Is bay number {n} free?", "Is parking space {n} free?",
        "Can I park in bay {n}?",
        "Is number {n} free?", "Is space {n} available?", "Is parking spot {n} empty?", "Bay {n} free?",
        "Is bay {n} available?",
        "Is bay {n} vacant?",
    ),
    "is it occupied": (
        "Is bay {n} occupied?", "Is bay {n} taken?", "Is bay number {n} taken?",
        "Is parking space {n} occupied?", "Is space {n} taken?", "Is number {n} occupied?",
        "Is bay {n} full?",
        "Is there anything in bay {n}?", "Bay {n} taken?", "Is there a vehicle in bay {n}?",
        "Is bay {n} in use?",
    ),
    "what in": (
        "What is in bay {n}?", "What's in bay {n}?", "What is parked in bay {n}?",
        "Which vehicle is in bay {n}?",
        "What stands in bay {n}?", "What do you see in bay {n}?", "What is in parking space {n}?",
        "What vehicle is parked in bay {n}?",
        "What is on number {n}?",
    ),
    "which bay": (
        "Which bay is the {a} in?", "In which bay is the {a}?", "What bay is the {a} in?",
        "Where is the {a} parked?",
        "In which parking space is the {a}?", "What is the number of the bay with the {a}?",
        "Which bay has the {a}?",
        "Which space is the {a} in?", "What is the {a}'s bay number?",
    ),
}  # fmt: skip

STEPS: dict[str, tuple[str, ...]] = {
    "things of a kind": (
        "Count the {s} step by step.", "Let's count the {s} one by one.", "Count the {s} one by one.",
        "Count the {s} carefully and show your work.", "Count the {s}, one at a time.",
        "How many {s} are there? Count step by step.",
        "How many {s} are there? Think step by step.", "How many {s}? Let's think step by step.",
        "Count the {s} slowly.",
        "Count the {s} aloud.", "Count the {s} and say where each is.", "Enumerate the {s}.",
        "Point out each of the {s} and count.",
        "How many {s} are there? Show your working.", "Show me how you count the {s}.",
        "Count all the {s} one after another.",
        "Please count the {s} step by step.", "Go through the {s} one by one.", "Number the {s} one by one.",
        "Count carefully: how many {s} are there?", "How many {s} can you count, one by one?",
        "Take your time and count the {s}.",
        "Count the {s} and explain.", "Count out the {s}.", "step by step, how many {s} are there?",
        "How many {s} are there? Explain how you counted.", "Can you count the {s} one by one?",
    ),
    "everything": (
        "Count everything step by step.", "Count the things one by one.",
        "How many things are there? Count step by step.",
        "Count all the things step by step.", "Let's count the objects one by one.",
        "Count the objects one at a time.",
        "Count everything you see and show your work.", "How many objects are there? Think step by step.",
        "Go through all the things one by one and count them.",
    ),
}  # fmt: skip
