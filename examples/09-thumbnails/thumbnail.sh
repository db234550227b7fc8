#!/bin/sh
# Prints a thumbnail of the picture in the field "image", at most "size" pixels wide and high.
set -eu

answer() { # STATUS MESSAGE
	printf 'Status: %s\r\nContent-Type: text/plain\r\n\r\n%s\n' "$1" "$2"
	exit 0
}

# The client chooses the value of a field of text: only what is in FORM_DIR is a file.
image=${FORM_image:-}
case $image in
"${FORM_DIR:-no form}"/*) ;;
*) answer 400 "send a form with a file in the field image" ;;
esac
case $image in */../*) answer 400 "send a form with a file in the field image" ;; esac

size=${FORM_size:-200}
case $size in
'' | *[!0-9]* | ????*) answer 400 "size is a number of pixels from 1 to 999" ;;
esac

# ImageMagick would guess the type, and run whatever it knows: SVG, scripts, URLs. We do not let it.
case $(head -c 12 "$image" | od -An -v -tx1 | tr -d ' \n') in
ffd8ff*) type=jpeg ;;
89504e470d0a1a0a*) type=png ;;
47494638*) type=gif ;;
52494646????????57454250) type=webp ;;
5033* | 5036*) type=ppm ;;
*) answer 415 "the file is not a JPEG, PNG, GIF, WebP or PPM picture" ;;
esac

# By its content, not by its name, in which %d or [1-9] would mean something to ImageMagick.
thumbnail=$(mktemp "$FORM_DIR/XXXXXX")
convert -limit width 10KP -limit height 10KP -limit area 32MP -limit memory 256MiB -limit map 0 -limit disk 0 \
	"$type:-[0]" -auto-orient -thumbnail "${size}x$size>" -strip png:- <"$image" >"$thumbnail" ||
	answer 422 "the picture is damaged or too large"

printf 'Content-Type: image/png\r\n\r\n'
cat "$thumbnail"
