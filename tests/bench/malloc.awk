# What a callgrind file says of glibc's malloc: its instructions.  How many it
# takes for the same calls is chance, it depends on how the heap is cut.

/^(fl|fi|fe|cfi|cfl)=/ {
    split($0, part, /[()]/)
    id = part[2]

    if (NF > 1) {
        name[id] = $2
    }

    if ($0 !~ /^c/) {
        file = name[id]
    }

    next
}

# the next line has the cost of a function that is called

/^calls=/ {
    getline
    next
}

/^[-+*0-9][0-9]* [0-9]+$/ && file ~ /\/malloc\/(malloc|arena)\.c$/ {
    sum += $2
}

END {
    printf "%.0f\n", sum
}
