"""How people ask about several pictures: `{n}` "car", `{s}` "cars", `{a}` "a car", `{dir}` "left"."""

TABLES: dict[str, tuple[str, ...]] = {
    "changed": (
        "What changed?", "What has changed?", "What's changed?", "What is different?", "What's different?",
        "What is the difference?", "What's the difference?", "What are the differences?",
        "Spot the difference.", "Spot the differences.", "Find the difference.",
        "Find the differences between the two {pic}s.", "What is different between the two {pic}s?",
        "What changed between the two {pic}s?", "What is the difference between these two {pic}s?",
        "What's different in the second {pic}?", "Compare the {pic}s.", "Compare the two {pic}s.",
        "Compare these {pic}s.", "How do the {pic}s differ?", "How are the two {pic}s different?",
        "How is the second {pic} different from the first?",
        "What changed from the first {pic} to the second?", "Did anything change?", "Has anything changed?",
        "Is anything different?", "Are the two {pic}s the same?", "Are these {pic}s identical?",
        "Tell me what changed.", "Can you spot the difference?", "Can you tell what is different?",
        "What happened between the two {pic}s?", "What happened?", "What has happened in the second {pic}?",
        "Do you notice any difference?", "Do you see any changes?", "Which thing changed?", "What is new?",
        "Name the difference between the {pic}s.",
        "What does the second {pic} have that the first has not?", "Before and after: what changed?",
        "Look at both {pic}s. What is different?", "Any differences?", "Describe the change.",
        "Describe what changed between the {pic}s.", "See any difference?",
    ),
    "missing": (
        "Is anything missing in the second {pic}?", "What is missing in the second {pic}?",
        "What's missing?", "Is anything missing?", "What is gone?", "What disappeared?",
        "Did anything disappear?", "Was anything removed?", "What was taken away?", "What was removed?",
        "Is something missing in the second {pic}?", "Is anything gone in the second {pic}?",
    ),
    "which": (
        "In which {pic} is the {n}?", "In which {pic} is there {a}?", "Which {pic} has {a}?",
        "Which {pic} has the {n}?", "Which {pic} shows {a}?", "Which {pic} contains {a}?",
        "Which of the {pic}s has {a}?", "Which of the two {pic}s shows {a}?",
        "Where do you see {a}, in the first or in the second {pic}?",
        "In which of the {pic}s can you see {a}?", "Is the {n} in the first or the second {pic}?",
        "Which {pic} is the {n} in?", "Tell me which {pic} has {a}.", "What {pic} has {a} in it?",
        "In what {pic} do you see the {n}?", "Which one has {a}?", "Which one shows the {n}?",
        "Find the {pic} with {a}.", "Which {pic} includes {a}?",
        "Does the first or the second {pic} have {a}?",
    ),
    "more": (
        "Which {pic} has more {s}?", "In which {pic} are there more {s}?", "Which {pic} shows more {s}?",
        "Where are there more {s}, in the first or in the second {pic}?", "Which of the two has more {s}?",
        "Which {pic} contains more {s}?", "Are there more {s} in the first or the second {pic}?",
        "Which one has more {s}?", "Does the first or the second {pic} have more {s}?",
        "In which of the {pic}s do you see more {s}?", "Which {pic} has the most {s}?",
    ),
    "fewer": (
        "Which {pic} has fewer {s}?", "In which {pic} are there fewer {s}?", "Which {pic} shows fewer {s}?",
        "Which of the two has fewer {s}?", "Which one has fewer {s}?", "Which {pic} has less {s}?",
        "Are there fewer {s} in the first or the second {pic}?", "Which {pic} has the fewest {s}?",
    ),
    "how many": (
        "How many {pic}s do you see?", "How many {pic}s are there?", "How many {pic}s did I send?",
        "How many {pic}s did I show you?", "How many {pic}s can you see?",
        "How many {pic}s have I given you?", "Count the {pic}s.", "How many {pic}s?",
        "Can you count the {pic}s?", "Did you get all the {pic}s? How many?",
        "What is the number of {pic}s?", "How many {pic}s are you looking at?",
        "Tell me how many {pic}s there are.",
    ),
    "moves": (
        "Which way does the {n} move?", "Which way is the {n} moving?", "Which way is the {n} going?",
        "Where is the {n} going?", "Where does the {n} move?", "In which direction does the {n} move?",
        "What direction is the {n} moving in?", "In what direction is the {n} going?",
        "Where is the {n} heading?", "Which direction does the {n} go?", "How does the {n} move?",
        "What is the {n} doing?", "What does the {n} do?", "What happens to the {n}?",
        "How is the {n} moving?", "Tell me which way the {n} moves.", "Is the {n} moving left or right?",
        "Does the {n} move left or right?", "Is the {n} moving up or down?",
        "What is the direction of the {n}?", "What's happening to the {n}?", "Is the {n} moving? Where?",
        "Follow the {n}. Where does it go?", "Where did the {n} go?", "Which way does the {n} travel?",
        "Describe how the {n} moves.", "To which side does the {n} move?",
        "Is the {n} getting bigger or smaller?", "How does the {n} change over the {frame}s?",
    ),
    "what moves": (
        "What moves?", "What is moving?", "Which thing moves?", "What happens?", "What is happening?",
        "What happens in these {frame}s?", "What is going on in the {frame}s?",
        "What changes over the {frame}s?", "Does anything move?", "Is anything moving?",
        "What changes from {frame} to {frame}?", "Describe the motion.",
        "Describe what happens in the video.", "What happens in the video?",
        "These are {frame}s of a video. What happens?", "Which object is moving, and where?",
        "What moves, and which way?", "Tell me what is moving.", "Summarise the video.",
        "What is different over time?",
    ),
    "does it move": (
        "Does the {n} move?", "Is the {n} moving?", "Is the {n} in motion?", "Did the {n} move?",
        "Has the {n} moved?", "Does the {n} change its place?", "Is the {n} standing still?",
        "Does the {n} stay where it is?",
    ),
    "does it move so": (
        "Does the {n} move {dir}?", "Is the {n} moving {dir}?", "Is the {n} going {dir}?",
        "Does the {n} go {dir}?", "Did the {n} move {dir}?", "Is it true that the {n} moves {dir}?",
    ),
    "moves it": (
        "Where is it going?", "Which way does it move?", "Which way is it going?",
        "Which way is it moving?", "In which direction does it move?", "And which way does it go?",
        "Where does it go?", "Where is it heading?",
    ),
}  # fmt: skip

ZH_TABLES: dict[str, tuple[str, ...]] = {
    "changed": (
        "有什么变化？", "有什么不同？", "两张图有什么不同？", "两张图片有什么区别？", "发生了什么变化？",
        "找出不同之处。", "找不同。", "第二张图有什么变化？", "比较这两张图。", "比较一下两张图片。",
        "什么变了？", "哪里不一样？", "两张图一样吗？", "这两张图片有什么差别？", "有变化吗？",
        "请说出两张图的不同。", "变了什么？",
    ),
    "missing": (
        "少了什么？", "第二张图少了什么？", "什么不见了？", "有东西不见了吗？", "第二张图里缺了什么？",
    ),
    "which": (
        "哪张图里有{n}？", "{n}在哪张图里？", "哪一张图片有{n}？", "{n}在第几张图里？", "第几张图有{n}？",
    ),
    "how many": (
        "有几张图？", "你看到几张图片？", "一共有几张图？", "有多少张图片？", "我给了你几张图？",
    ),
    "moves": (
        "{n}往哪个方向移动？", "{n}向哪边移动？", "{n}往哪里去？", "{n}怎么移动？", "{n}朝哪个方向走？",
        "{n}在做什么？", "{n}移动了吗？往哪边？", "{n}有什么变化？", "{n}去哪里？", "{n}往哪儿动？",
    ),
    "what moves": (
        "什么在动？", "什么东西在移动？", "发生了什么？", "这几张图里什么在动？", "有东西在动吗？",
    ),
    "moves it": (
        "它往哪个方向移动？", "它往哪里去？", "它向哪边移动？", "它怎么移动？",
    ),
}  # fmt: skip
