"""GloTok: a dual-codebook image tokenizer and its generators."""
