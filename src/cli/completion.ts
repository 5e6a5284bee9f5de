import { own } from '../std/own.ts';

/** Runs a command and answers what it printed; nothing where it failed. */
export type CommandOutput = (words: readonly string[]) => Promise<string>;

const listOf = (line: string): readonly string[] =>
  [...line.trim().matchAll(/(?:\\.|[^,\\])+/g)].map(([item]) => item.replaceAll(/\\(.)/g, '$1'));

const selectors: Readonly<Record<string, string>> = {
  '<vm-selectors>': 'vm',
  '<host-selectors>': 'host',
  '<sr-selectors>': 'sr',
};

/** What the help of a command says that it takes. */
const paramsOf = async (command: string, asked: CommandOutput): Promise<readonly string[]> => {
  const rows = (await asked(['help', command])).split('\n').map((row) => row.split(/:(.*)/s));
  const of = (label: string): readonly string[] =>
    (rows.find(([name]) => name?.includes(label))?.[1] ?? '')
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '');
  return [...of('reqd params'), ...of('optional params')];
};

/** The class whose objects a parameter names: by its own name, or by that of the command. */
const classOf = (command: string, param: string): string | undefined => {
  if (['vm', 'host', 'sr'].includes(param)) return param;
  if (param.endsWith('-uuid')) return param.slice(0, -'-uuid'.length);
  return param === 'uuid' ? /^(.*?)-(?:param-)?[a-z]+$/.exec(command)?.[1] : undefined;
};

const valuesOf = async (command: string, param: string, asked: CommandOutput): Promise<readonly string[]> => {
  const cls = classOf(command, param);
  if (cls !== undefined) {
    const field = param === cls ? 'name-label' : 'uuid';
    return listOf(await asked([`${cls}-list`, `params=${field}`, '--minimal', '--all']));
  }
  const listed = /^(.*)-list$/.exec(command)?.[1];
  if (listed === undefined) return [];
  const values = listOf(await asked([`${listed}-list`, `params=${param}`, '--minimal', '--all']));
  return [...new Set(values)].filter((value) => value !== '<not in database>');
};

/** What the last of the words may become: names of commands, of parameters, or values. */
export const completions = async (
  words: readonly string[],
  asked: CommandOutput,
): Promise<readonly string[]> => {
  const [command = '', ...params] = words;
  const last = params.at(-1);
  const begins = (all: readonly string[], beginning: string): readonly string[] =>
    all.filter((one) => one.startsWith(beginning));
  if (last === undefined) return begins(listOf(await asked(['help', '--minimal', '--all'])), command);
  const at = last.indexOf('=');
  if (at >= 0) return begins(await valuesOf(command, last.slice(0, at), asked), last.slice(at + 1));
  const given = new Set(params.map((word) => word.split('=')[0]));
  const takes = (await paramsOf(command, asked)).map((name) => own(selectors, name) ?? name);
  const names = takes
    .filter((name) => !given.has(name))
    .map((name) => (name.endsWith(':') ? name : `${name}=`));
  return begins(names, last);
};

const scripts: Readonly<Record<string, string>> = {
  bash: `_xenact_xe() {
  [ "\${COMP_WORDS[1]}" = xe ] || return 0
  local line="\${COMP_LINE:0:COMP_POINT}" words
  read -ra words <<< "\${line#* xe }"
  [[ $line == *' ' ]] && words+=('')
  local IFS=$'\\n'
  COMPREPLY=($(xenact xe complete -- "\${words[@]}" 2>/dev/null))
  [[ \${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace
}
complete -F _xenact_xe xenact
`,
  zsh: `#compdef xenact
_xenact() {
  [ "\${words[2]}" = xe ] || return 0
  local -a found
  found=("\${(@f)$(xenact xe complete -- "\${(@)words[3,CURRENT]}" 2>/dev/null)}")
  if [[ $PREFIX == *=* ]]; then compset -P '*='; fi
  compadd -S '' -a found
}
compdef _xenact xenact
`,
  fish: `function __xenact_xe
  set -l words (commandline -opc) (commandline -ct)
  set -l last (commandline -ct)
  for one in (xenact xe complete -- $words[3..-1] 2>/dev/null)
    string match -q '*=*' -- $last; and echo (string replace -r '=.*' '=' -- $last)$one; or echo $one
  end
end
complete -c xenact -n '__fish_seen_subcommand_from xe' -f -a '(__xenact_xe)'
`,
};

/** The lines that a shell reads to complete `xenact xe`; undefined for a shell that is not known. */
export const completionScript = (shell: string): string | undefined => own(scripts, shell);
