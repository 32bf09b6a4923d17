"""What the HTML reports share: the frame of the page, one style sheet, sortable tables, and HTML elements.

A report passes its own content to :func:`~synthct.html_report.page_parts.page`, with the style and the scripts that it
alone needs. Each page opens from the disk and loads nothing from a network.
"""
