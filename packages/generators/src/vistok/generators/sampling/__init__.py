"""How a sample is made: guidance, draws of ids, masking plans, and the samplers of the three models."""
