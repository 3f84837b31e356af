package io.github.gitopsrollback

/** What a build shows of itself: name, description, and the map that a step returns. */
class Report implements Serializable {

    private static final long serialVersionUID = 1

    private final Object script
    private final int mostNamed = 5
    private final String linked = 'report: '

    /** @param script the step's script */
    Report(Object script) {
        this.script = script
    }

    /**
     * Names the build after what happened: `cart production 1.5.0 → 1.4.2, held`.
     *
     * @param services the services of a result
     * @param before what stands before it, such as `plan: `
     * @param after what stands behind it, such as `, held`
     */
    String show(List<Map> services, String before = '', String after = '') {
        List<String> parts = []
        for (one in services) {
            if (parts.size() < mostNamed) {
                parts << line(one)
            }
        }
        if (services.size() > mostNamed) {
            parts << "and ${services.size() - mostNamed} more".toString()
        }
        String text = "${before}${parts.join('; ')}${after}".toString()
        String earlier = told()
        if (earlier.startsWith('plan: ') || earlier.startsWith('dry run: ')) {
            earlier = ''  // what was announced and now is done
        }
        script.currentBuild.displayName = "#${script.currentBuild.number} ${text}".toString()
        script.currentBuild.description = earlier ? "${earlier}; ${text}".toString() : text
        return text
    }

    /** Adds where the archived report is as the description's last line, and to the log, where it can be clicked. */
    void link() {
        String url = "${script.env.BUILD_URL ?: ''}artifact/gitops-rollback/report/report.html"
        String earlier = told()
        script.currentBuild.description = "${earlier}\n${linked}${url}".toString()
        script.echo("${linked}${url}")
    }

    /** Adds how far a change came, and when: `, running after 7.4 s (commit 0.6, applied 1.9)`. */
    void waited(Map result) {
        Map<String, String> words = [ready: 'running', applied: 'applied', replaced: 'overtaken', unverified: 'not verified']
        String text = ", ${words[result?.state] ?: 'not running'}".toString()
        if (result?.seconds?.ready) {
            List<String> times = []
            for (name in ['decide', 'commit', 'fetched', 'applied']) {
                if (result.seconds[name] != null) {
                    times << "${name} ${result.seconds[name]}".toString()
                }
            }
            text = "${text} after ${result.seconds.ready} s${times ? " (${times.join(', ')})" : ''}".toString()
        }
        script.currentBuild.description = "${told()}${text.replaceAll('(\\.\\d)\\d+', '$1')}".toString()  // tenths will do
    }

    /** `{commit, from, to, seconds}`, with `pullRequest` where one was opened; of several services also `services`, each with its own `from` and `to`. */
    Map changed(Map result, long started) {
        Map found = [seconds: (System.currentTimeMillis() - started) / 1000]
        if (result.commit) {
            found.commit = result.commit
        }
        if (result.blocked) {
            found.blocked = result.blocked
        }
        if (result.pullRequest) {
            found.pullRequest = result.pullRequest
        }
        List<Map> services = []
        for (one in result.services) {
            services << one.subMap(['service', 'environment', 'from', 'to'])
        }
        if (services.size() == 1) {
            found.from = services[0].from
            found.to = services[0].to
        } else {
            found.services = services
            found.from = services.collect { it.from }.join(', ')
            found.to = services.collect { it.to }.join(', ')
        }
        return found
    }

    /** A hint of the command in the words of the job: its parameter AGAIN where it says `--again`. */
    String hint(String text) {
        String told = text
        Map<String, String> options = [AGAIN: '--again', ACCEPT: '--accept', TO: '--to', QUERY: '--query', STRATEGY: '--strategy']
        for (entry in script.params) {
            if (options[entry.key]) {
                told = told.replaceAll("${options[entry.key]}(?![\\w-])", "${entry.key}")
            }
        }
        return told
    }

    /** What people call an image: its tag, else the beginning of its digest. */
    String label(Object image) {
        List<String> parts = "${image}".tokenize('@')
        List<String> last = parts[0].tokenize('/').last().tokenize(':')
        if (last.size() > 1) {
            return last[1]
        }
        return parts.size() > 1 ? parts[1].take(19) : 'latest'
    }

    /** What services were brought to: `1.4.2`; of several `cart 1.4.2, payment 2.0.0`. */
    String images(List<Map> services) {
        List<String> found = []
        for (one in services) {
            found << (services.size() > 1 ? "${one.service} ${label(one.to)}" : label(one.to)).toString()
        }
        return found.join(', ')
    }

    /** What the description says, without the link. */
    private String told() {
        for (line in (script.currentBuild.description ?: '').tokenize('\n')) {
            if (!line.startsWith(linked)) {
                return line
            }
        }
        return ''
    }

    private String line(Map one) {
        String name = one.environment && one.environment != 'default' ? "${one.service} ${one.environment}" : one.service
        Object from = one.from ?: one.current?.image
        Object to = one.to instanceof Map ? one.to.image : one.to
        if (from && to && from != to) {
            return "${name} ${label(from)} → ${label(to)}"
        }
        return "${name} ${label(from ?: to)}"
    }

}
