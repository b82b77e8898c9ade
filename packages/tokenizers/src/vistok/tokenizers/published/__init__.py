"""Weights as their authors published them: one module an author."""
