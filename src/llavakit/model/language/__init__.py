"""Language models: embeddings in, next-token logits out."""
