"""The wordings of `creative`: what newcomers type about dinner, advertisements and stories."""

COOK: tuple[str, ...] = (
    "What could I cook with these?", "What can I cook with these?", "What could I cook with this?",
    "Any recipe ideas?",
    "What can I make for dinner?", "What could I make with these ingredients?", "What can I cook?",
    "Suggest a recipe.",
    "What dish can I make from this?", "What meal could I prepare with these?", "Give me a recipe idea.",
    "What could I cook from what is in the {pic}?", "What can I make with this?",
    "What should I cook tonight?",
    "Can you suggest a dish?", "Can I cook something with these?", "Which dish could I prepare?",
    "What's for dinner?",
    "What can be cooked with these things?", "I'm hungry, what can I make?", "Suggest a meal.",
    "Dinner ideas?",
    "What would you cook with these?", "What could I make for lunch?", "Any ideas for dinner?",
    "What can I make to eat?",
    "Is there a recipe for this?", "What food can I make with these?", "How could I use these ingredients?",
    "Tell me what I can cook with this.", "What can I prepare with these ingredients?",
    "What recipe uses these?",
    "Can you give me a recipe?", "What could I bake or cook with this?", "What meal can I make?",
)  # fmt: skip

ADVERT: dict[str, tuple[str, ...]] = {
    "this": (
        "Write an advertisement for this.", "Write an ad for this.", "Write a slogan for this.",
        "Sell me this.",
        "Make an advert for this.", "Write a short advertisement.", "Advertise this.",
        "Can you write an ad for this {pic}?",
        "Give me a slogan.", "Write a sales pitch for this.", "Come up with a slogan for this.",
        "Make me want to buy this.",
        "Write an advertisement for this {pic}.", "How would you advertise this?",
        "Write a commercial for this.",
        "Invent a slogan.", "Write marketing copy for this.", "Promote this.", "Please write an advert.",
        "Pitch this to me.",
    ),
    "the": (
        "Write an advertisement for the {a}.", "Write a slogan for the {a}.", "Write an ad for the {a}.",
        "Sell me the {a}.",
        "Advertise the {a}.", "Make an advert for the {a}.", "Can you write an ad for the {a}?",
        "Slogan for the {a}?",
        "Come up with a slogan for the {a}.", "Give me a slogan for the {a}.",
        "Write a short ad for the {a}.",
        "How would you advertise the {a}?", "Write a sales pitch for the {a}.", "Make me want the {a}.",
        "Write a commercial for the {a}.", "Invent a slogan for the {a}.", "Promote the {a}.",
        "Pitch the {a} to me.",
        "Write a catchy line to sell the {a}.", "Try to sell me the {a}.",
    ),
}  # fmt: skip

STORY: tuple[str, ...] = (
    "Tell me a story about this {pic}.", "Write a story about this.", "Tell me a story.",
    "Make up a story about the {pic}.",
    "Can you tell a story about this?", "Write a short story about the {pic}.", "Invent a story.",
    "Tell a short story.",
    "What story does this {pic} tell?", "Make up a short story.", "Tell me a tale about these things.",
    "A story, please.",
    "Write a two-sentence story about the {pic}.", "Write me a little story.",
    "Could you make up a story about this?",
    "Tell me a bedtime story about this {pic}.", "Turn this {pic} into a story.",
    "Give me a short story about what you see.",
    "Imagine a story for this {pic}.", "Spin me a yarn about this.",
)  # fmt: skip
