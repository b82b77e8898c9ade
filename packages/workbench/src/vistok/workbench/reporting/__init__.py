"""What is shown of a run: one page of sections, tables, pictures and plots, and a verdict in words."""
