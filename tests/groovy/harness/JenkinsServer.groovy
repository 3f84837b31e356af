package harness

import com.sun.net.httpserver.HttpExchange
import com.sun.net.httpserver.HttpServer
import groovy.json.JsonOutput

/** The builds of a world as Jenkins shows them: their artifacts and their list, to one user with a token. */
class JenkinsServer {
    final World world
    final HttpServer server
    final List<String> requests = Collections.synchronizedList([])
    String mayNot                     // a right that the user of the token lacks

    JenkinsServer(World world) {
        this.world = world
        server = HttpServer.create(new InetSocketAddress('127.0.0.1', 0), 0)
        server.createContext('/') { HttpExchange exchange ->
            try {
                answer(exchange)
            } finally {
                exchange.close()
            }
        }
        server.start()
        world.onClose { server.stop(0) }
    }

    String getUrl() { "http://127.0.0.1:${server.address.port}/" }

    private void answer(HttpExchange exchange) {
        String path = exchange.requestURI.rawPath
        requests << "${exchange.requestMethod} ${path}".toString()
        Map user = World.SECRETS['jenkins-api']
        String expected = 'Basic ' + "${user.username}:${user.password}".bytes.encodeBase64()
        if (exchange.requestHeaders.getFirst('Authorization') != expected) {
            send(exchange, 403, 'text/html', '<html>Authentication required</html>')
            return
        }
        def found = path =~ '^((?:/job/[^/]+)+)/(?:(\\d+)/)?(?:(api/json|toggleLogKeep)|artifact/(.+))$'
        if (!found.find()) {
            send(exchange, 404, 'text/html', '<html>Not Found</html>')
            return
        }
        String job = found.group(1).split('/job/').findAll().collect { URLDecoder.decode(it, 'UTF-8') }.join('/')
        Build build = found.group(2) ? world.builds.find { it.job == job && it.run.number == (found.group(2) as int) } : null
        if (found.group(4)) {
            File file = build == null ? null : new File(build.artifacts, URLDecoder.decode(found.group(4), 'UTF-8'))
            file?.isFile() ? send(exchange, 200, 'application/json', file.text) : send(exchange, 404, 'text/html', '<html>Not Found</html>')
        } else if (build != null && found.group(3) == 'toggleLogKeep' && mayNot) {
            send(exchange, 403, 'text/html', "<html>jenkins-bot is missing the ${mayNot} permission</html>")
        } else if (build != null && found.group(3) == 'toggleLogKeep') {
            build.run.keepLog = !build.run.keepLog
            send(exchange, 200, 'text/html', '<html></html>')
        } else if (build != null) {
            List files = build.archived().collect { [relativePath: it] }
            Map shown = [keepLog: build.run.keepLog, building: false, result: build.run.result, artifacts: files]
            send(exchange, 200, 'application/json', JsonOutput.toJson(shown))
        } else {
            List builds = world.builds.findAll { it.job == job }.reverse().collect { one ->
                [number: one.run.number, artifacts: one.archived().collect { [relativePath: it] }]
            }
            send(exchange, 200, 'application/json', JsonOutput.toJson([allBuilds: builds]))
        }
    }

    private static void send(HttpExchange exchange, int status, String type, String text) {
        byte[] bytes = text.getBytes('UTF-8')
        exchange.responseHeaders.add('X-Jenkins', '2.426.2')
        exchange.responseHeaders.add('Content-Type', type)
        exchange.sendResponseHeaders(status, bytes.length)
        exchange.responseBody.write(bytes)
    }
}
