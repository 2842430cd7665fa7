"""Finished runs as pictures and pages, and recipes side by side. Adds matplotlib and Jinja.

The steps in order: `figures` draws, `live` while a network trains; `report` shows one run; `compare` trains what is
missing, `statistics` sets runs side by side, `published` has what others reached, `comparison_page` and `study_page`
show them; `reading_page` shows what was read in pictures. All pages are made by `pages` from `templates/`. Begin
reading in `report`.
"""
