"""What scenes are drawn with, in the order of the work.

`marks` draws one shape with a pen; `styles` and `clutter` have shapes: handwriting, and what is no digit; `writing` is
how one person writes; a `page` keeps what was written and whose ink it is; `layouts` and `forms` put digits on a page,
`insets` puts pictures into pictures; `grounds` are what ink stands on, and `camera` is how all of it is seen.
"""
