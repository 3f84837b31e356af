import com.cloudbees.groovy.cps.NonCPS

/** Known to be bad: `run` requires that each of these is found. */
Map call(Map params = [:]) {
    List sorted = [3, 1, 2].sort { it }
    String text = "value: ${-> sorted.first()}"
    java.util.regex.Matcher matcher = text =~ /v/
    sh(script: 'true')
    return [matcher: matcher]
}

@NonCPS
String pure() {
    return call([:]).toString()
}
