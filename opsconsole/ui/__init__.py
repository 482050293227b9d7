"""What you see: the shell, its panes, screens and widgets, on Textual.

Everything here reads the same immutable Snapshot and asks no server itself. Nothing blocks the event
loop. Text from outside is shown through `opsconsole.text.printable`, never as markup.
"""
