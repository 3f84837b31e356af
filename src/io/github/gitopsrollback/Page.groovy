package io.github.gitopsrollback

/**
 * What a build shows of one step: its title, and its lines of the description.
 *
 * The words are the command's; here they are put where they belong. Steps that run at once in one build keep to their own lines:
 * a text is read and written without a step in between, so no other branch can come between.
 */
class Page implements Serializable {

    private static final long serialVersionUID = 1

    private final Object script
    private final int longest = 150
    private final List<String> labels = ['report: ', 'commit: ', 'pull request: ', 'record: ', 'again: ']
    private final List<String> announcements = ['plan: ', 'dry run: ', 'waits for ']
    private String title = ''

    /** @param script the step's script */
    Page(Object script) {
        this.script = script
    }

    /**
     * Shows what happened, in the place of what this step, or an announcement for the same service, showed before.
     *
     * @param told what the command said of its result: `title`, `about`, `links`
     */
    void show(Map told) {
        List<List<String>> blocks = []
        for (block in parts()) {
            if (block.first() != title && !isAnnounced(block.first(), told.about)) {
                blocks << block
            }
        }
        title = "${told.title}".toString()
        List<String> mine = [title]
        for (entry in told.links) {
            mine << "${entry.key}: ${entry.value}".toString()
        }
        write(blocks + [mine])
    }

    /** Adds to this step's title: how far a change came. */
    void add(String more) {
        List<List<String>> blocks = parts()
        for (block in blocks) {
            if (block.first() == title) {
                block[0] = "${title}, ${more}".toString()
            }
        }
        title = "${title}, ${more}".toString()
        write(blocks)
    }

    /** Links an artifact of this build, once, in this step's lines of the description and in the log, where it can be clicked. */
    void link(String what, String path) {
        String line = "${what}: ${script.env.BUILD_URL ?: ''}artifact/${path}".toString()
        List<List<String>> blocks = parts()
        boolean isNew = true
        for (block in blocks) {
            isNew = isNew && !block.contains(line)
        }
        if (!isNew) {
            return
        }
        for (block in blocks) {
            if (block.first() == title) {
                block << line
            }
        }
        write(title ? blocks : blocks + [[line]])
        script.echo(line)
    }

    /**
     * Where among a build's artifacts the results of these services are: the first ones at the top, others in a folder of their own.
     *
     * @param values the step's parameters
     * @return nothing, or a path that ends with a slash
     */
    String place(Map values) {
        if (values.plan instanceof Map && values.plan.shown) {
            return values.plan.shown.place  // where the plan's own results are
        }
        String own = new Parameters(script, '').text(values.service ?: values.image ?: 'all').tokenize(', =').join('+')
        own = (values.environment ? "${own}@${values.environment}" : own).replaceAll('[^A-Za-z0-9._+@-]', '_').take(80)
        if (!script.env.GITOPS_FIRST) {
            script.env.GITOPS_FIRST = own
        }
        return script.env.GITOPS_FIRST == own ? '' : "${own}/".toString()
    }

    /** What the description says, as blocks of lines: a title, and the links that belong to it. */
    private List<List<String>> parts() {
        List<List<String>> found = []
        for (line in (script.currentBuild.description ?: '').tokenize('\n')) {
            if (found.isEmpty() || !isLink(line)) {
                found << []
            }
            found.last() << line
        }
        return found
    }

    private boolean isLink(String line) {
        for (label in labels) {
            if (line.startsWith(label)) {
                return true
            }
        }
        return false
    }

    private boolean isAnnounced(String line, Object about) {
        for (word in announcements) {
            if (line.startsWith(word)) {
                String rest = line.substring(word.length())
                for (name in about) {
                    if (rest.startsWith("${name} ") || rest.contains(": ${name} ") || rest.contains(" ${name} ")) {
                        return true
                    }
                }
                return !about
            }
        }
        return false
    }

    private void write(List<List<String>> blocks) {
        List<String> titles = []
        List<String> lines = []
        for (block in blocks) {
            if (!isLink(block.first())) {
                titles << block.first()
            }
            lines.addAll(block)
        }
        String all = titles.join('; ')
        String shown = all.length() > longest ? "${all.take(longest - 1)}…" : all
        try {
            script.currentBuild.displayName = "#${script.currentBuild.number} ${shown}".toString().trim()
            script.currentBuild.description = lines.join('\n')
        } catch (IOException problem) {  // Jenkins saves the build at once: its disk may be full
            script.echo("warning: the build could not be titled '${shown}': ${problem.message}")
        }
    }

}
