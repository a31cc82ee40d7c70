"""A project of one's own, made from the files of this one: `batchlab new`."""
