"""What tokenizer recipes share: data, backbones, configuration, training state, metrics and reports."""
