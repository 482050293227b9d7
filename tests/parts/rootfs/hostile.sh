#!/bin/sh
# Log lines that try to reach the terminal or the markup of whoever reads them. Printed once.
trap 'exit 0' TERM INT
printf 'clear \033[2J\033[H\033[31mred\033[0m title \033]0;owned\007 end\n'
printf 'clipboard \033]52;c;b3duZWQ=\007 end\n'
printf 'link \033]8;;http://example.invalid\033\\\\text\033]8;;\033\\\\ end\n'
printf 'report \033[6n\033[c\033P$q"p\033\\\\ end\n'
printf 'c1 \302\2332J\302\23552;c;b3duZWQ=\302\234 end\n'
printf 'markup [@click=app.quit]press[/] [bold red]loud[/bold red] [/] [ [[ ] end\n'
printf 'bidi \342\200\256gnp.exe\342\200\254 \342\201\246x\342\201\251 zero\342\200\213width end\n'
printf 'bytes \377\376\200 nul \000 bell \007 back \010\010 end\n'
printf 'progress 10%%\rprogress 90%%\rprogress done end\n'
printf 'tab\tvertical\013form\014 end\n'
printf 'wide \343\202\263\343\203\263 \360\237\221\251\342\200\215\360\237\222\273 combining e\314\201\314\202\314\203 end\n'
head -c 1048576 /dev/zero | tr '\000' x
printf ' end of the long line\n'
echo 'the last line'
while :; do
    sleep 3600 &
    wait $!
done
