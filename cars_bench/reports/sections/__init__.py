"""The sections of a report, one a file, each named like its template.

`facts()` reads what earlier stages left and gives plain data; `figure()` draws it and `table()`
writes the same numbers out beneath, both by the names under which the template shows them.
"""
