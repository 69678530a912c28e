"""From a conversation to tokens: messages, templates, tokenizer, encoder. No torch."""
