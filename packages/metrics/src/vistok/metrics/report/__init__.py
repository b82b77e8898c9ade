"""Pages and pictures: what people look at when they do not want to read numbers."""
