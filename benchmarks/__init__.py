"""Speed and memory, compared with similar programs and libraries, in one run: ``make bench``."""
