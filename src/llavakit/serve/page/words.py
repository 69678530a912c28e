"""What the page says, in English and in Chinese. Knows nothing of Gradio.

A browser's language decides: Chinese for those that begin with "zh", English for all others.
"""

from typing import Literal

Language = Literal["en", "zh"]

WORDS: dict[str, tuple[str, str]] = {
    "title": ("LLaVA", "LLaVA"),
    "menu": ("Conversations and settings", "对话与设置"),
    "new_chat": ("New chat", "新对话"),
    "past": ("Past conversations", "历史对话"),
    "none_yet": ("None yet. They are kept in this browser only.", "还没有。它们只保存在此浏览器中。"),
    "delete": ("Delete", "删除"),
    "untitled": ("Picture", "图片"),
    "model": ("Model", "模型"),
    "settings": ("Settings", "设置"),
    "system": ("System prompt", "系统提示词"),
    "system_hint": ("Empty: the model's own.", "留空则使用模型自带的。"),
    "temperature": ("Temperature", "温度"),
    "temperature_hint": ("0: always the likeliest word.", "0：总是选最可能的词。"),
    "top_p": ("Top-p", "Top-p"),
    "longest": ("Longest answer, in tokens", "回答的最大长度(token)"),
    "seed": ("Seed", "随机种子"),
    "seed_hint": ("Empty: another answer each time.", "留空则每次回答不同。"),
    "export": ("Save as Markdown", "保存为 Markdown"),
    "copy": ("Copy as text", "复制为文本"),
    "copied": ("The conversation is on the clipboard.", "对话已复制到剪贴板。"),
    "not_copied": ("The browser did not let us copy.", "浏览器不允许复制。"),
    "nothing_yet": ("There is nothing in this conversation yet.", "此对话还没有内容。"),
    "not_kept": (
        "This browser does not keep conversations: they are gone when the page is closed.",
        "此浏览器不保存对话：关闭页面后将丢失。",
    ),
    "lost": ("picture no longer there", "图片已不存在"),
    "person": ("You", "你"),
    "photograph": ("Photograph", "拍照"),
    "camera": ("Camera", "摄像头"),
    "ask": ("Ask about your pictures", "就图片提问"),
    "chat": ("Conversation", "对话"),
    "placeholder": (
        "### Show me a picture and ask about it\nDrop, paste, choose or photograph one, or begin with these:",
        "### 给我看一张图片并提问\n可拖入、粘贴、选择或拍照，也可从下面的例子开始：",
    ),
    "what": ("What is in the picture?", "图里有什么？"),
    "please": (
        "Please upload an image first: drop, paste, choose or photograph one. Then ask about it.",
        "请先上传一张图片：拖入、粘贴、选择或拍照，然后提问。",
    ),
    "footer": (
        "👍 and 👎 keep the conversation up to that answer, with its pictures, on this server, for training. "
        "Answers may be wrong.",
        "点 👍 或 👎 会把到该回答为止的对话及图片保存在此服务器上，用于训练。回答可能有误。",
    ),
    "kept": (
        "Thank you. The conversation up to this answer is kept on the server, with its pictures.",
        "谢谢。到此回答为止的对话及图片已保存在服务器上。",
    ),
    "withdrawn": ("Your rating and its conversation were removed.", "你的评价及其对话已删除。"),
    "not_rated": ("This answer could not be kept.", "此回答未能保存。"),
    "dropped": (
        "The conversation has outgrown this model: its oldest {count} messages are no longer read.",
        "对话已超出此模型的上下文：最早的 {count} 条消息不再被读取。",
    ),
    "cut": (
        "The answer was cut at the length set under Settings.",
        "回答达到了设置中的最大长度，已被截断。",
    ),
    "loading": ("Loading {name} …", "正在加载 {name}……"),
    "sees_tiny": (
        "**{name}** is a small model that knows **drawn scenes** only, such as those below, and often errs "
        "on them too. What it says of photographs means nothing.",
        "**{name}** 是一个小模型，只认识**画出来的场景**，如下面的例子，也常会说错。它对照片说的话没有意义。",
    ),
    "sees_model": (
        "**{name}** · {parameters} parameters, {size}, on {device}",
        "**{name}** · {parameters} 参数，{size}，运行于 {device}",
    ),
    "sees_unloaded": (
        "**{name}** is not in memory now: the first question loads it.",
        "**{name}** 尚未加载：第一个问题会加载它。",
    ),
    "busy": ("Many are asking; try again in a moment.", "提问的人很多，请稍后再试。"),
    "fault_too_many_images": (
        "A conversation may have at most {images} pictures.",
        "一次对话最多可以有 {images} 张图片。",
    ),
    "fault_image_too_large": (
        "A picture is too large: at most {mebibytes} MiB and {megapixels} megapixels.",
        "图片太大：最多 {mebibytes} MiB、{megapixels} 百万像素。",
    ),
    "fault_too_many_pixels": (
        "The pictures are too large together: at most {together} megapixels.",
        "图片合计过大：最多 {together} 百万像素。",
    ),
    "fault_invalid_image": ("{message}", "有一个文件无法作为图片打开：{message}"),
    "broken": (
        "{message}",
        "服务器未能回答；其所有者可在日志中找到原因。",
    ),
    "gone": (
        "A picture is no longer on the server: show it again.",
        "有一张图片已不在服务器上，请重新上传。",
    ),
}


def say(key: str, language: Language, **values: object) -> str:
    """The words of that key, `values` put in."""
    return WORDS[key][language == "zh"].format(**values)


def language_of(accepted: str) -> Language:
    """Of an Accept-Language header; browsers name the one they show their own menus in first."""
    return "zh" if accepted.strip().lower().startswith("zh") else "en"


def translations() -> dict[str, dict[str, str]]:
    """Everything by language, as browsers ask for it."""
    english = {key: words[0] for key, words in WORDS.items()}
    chinese = {key: words[1] for key, words in WORDS.items()}
    return {"en": english, "zh": chinese, "zh-CN": chinese, "zh-TW": chinese, "zh-HK": chinese}
