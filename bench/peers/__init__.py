"""The training itself against what a user would pick instead, held against bars."""
