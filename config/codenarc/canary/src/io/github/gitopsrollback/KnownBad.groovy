package io.github.gitopsrollback

/** Known to be bad: not serialisable. */
class KnownBad {

    private final Object script

    KnownBad(Object script) {
        this.script = script
    }

    @Override
    String toString() {
        return "${script}"
    }

}
