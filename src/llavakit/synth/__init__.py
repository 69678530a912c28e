"""Visual instruction data, written by a teacher that never sees the picture (LLaVA, section 3).

A source gives scenes: captions and boxes of a picture. A teacher, which is a language model or a grammar, is
shown a scene and writes a conversation about the picture. What it writes is parsed, checked against the
scene, and kept as instruction data, or put aside with the reason. Knows no pixels, models or training.
"""
