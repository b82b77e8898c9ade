"""VQGAN: one codebook with any quantizer, and the generators on its tokens."""
