"""The tokens of a data set, cached in shards: written by all processes, mapped when read, exported to Parquet."""
