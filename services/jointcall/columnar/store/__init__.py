"""The immutable columnar store: batches of samples as Arrow files, generations that name them, a pointer that moves.

schema.py says what lies in a file; batch.py writes and reads one; generation.py is the list of what belongs together;
depot.py keeps objects, generations and the pointer on a folder or on S3.
"""
