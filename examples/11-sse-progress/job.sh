#!/bin/sh
# A job of several steps. Each line that begins with "data:" is an event; an empty line ends it.
steps=20
case $Http_Query in
steps=[1-9] | steps=[1-9][0-9]) steps=${Http_Query#steps=} ;;
esac

step=0
while [ "$step" -lt "$steps" ]; do
	sleep 0.1 # the work
	step=$((step + 1))
	printf 'id: %d\nevent: progress\ndata: {"step": %d, "of": %d}\n\n' "$step" "$step" "$steps"
done
printf 'event: done\ndata: {"result": "%d steps"}\n\n' "$steps"
