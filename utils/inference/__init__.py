"""Images in, results out: what --input means, reading ahead, and the files of results."""
