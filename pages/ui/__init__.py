"""What the pages share: layout, services, session state and the parts of the viewer. Not a page
itself.
"""
