"""List filters: what clients may ask of lists and counts, from the text to a tree that any store can carry out.

attributes.py   which search attribute a name means, and of what type it is
filters.py      the tree
values.py       literals: times, durations, statuses; words of a text
parsing.py      text → tree, or the API's refusal
literals.py     a filter's values: each fits the type of its attribute
grammar.py      the grammar, on top of `sqlglot`'s: imported when the first filter comes
indexing.py     what is stored of a run's search attributes for filters to compare with
matching.py     does a row match? The model that the databases' SQL is compared with
"""
