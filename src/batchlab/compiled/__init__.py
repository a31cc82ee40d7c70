"""Blocks of training steps as compiled programs: an engine for `batchlab.block_training`, in a folder of its own.

It can be deleted as a whole, together with the model's argument `engine` and the tests named `test_compiled_*` and
`test_program_cache`.
"""
